"""Views of one link: one has the controls, the others the maps; differences from one of them."""

from __future__ import annotations

import numpy as np
from playwright.sync_api import Page, expect

from dcal_explorer.view.payload import payload
from tests.fixtures.view_page import record, show

MOUNT = """async payloads => {
    globalThis.views = {};
    for (const [name, payload] of Object.entries(payloads)) {
        const host = document.body.appendChild(document.createElement("div"));
        host.id = name;
        const parts = name === "controls" ? "controls" : "maps";
        const options = { link: "compare", parts, fetch: globalThis.answerView };
        views[name] = viewParts.mount(host, payload, options);
        await views[name].ready;
    }
}"""
VALUES = "name => Array.from(views[name].panes.map.scene.values)"


def test_one_view_moves_the_maps_and_subtracts_them(page: Page) -> None:
    seen = {"ash": record(), "oak": record(seed=5), "elm": record(seed=7, glca=False)}
    show(page, seen["ash"])
    packed = {name: payload(one, key=name, title=name, group="one") for name, one in seen.items()}
    page.evaluate(MOUNT, {**packed, "controls": packed["ash"]})
    expect(page.locator("#ash .dcal-look")).to_be_hidden()
    expect(page.locator("#controls .dcal-panes")).to_be_hidden()
    controls = page.locator("#controls")
    controls.get_by_role("radio", name="Layer 2", exact=True).click()
    for name, one in seen.items():
        np.testing.assert_allclose(page.evaluate(VALUES, name), one.rollout[1].ravel())
    controls.get_by_label("Difference to").select_option("oak")
    most = max(np.abs(seen[name].rollout[1] - seen["oak"].rollout[1]).max() for name in ("ash", "elm"))
    for name in ("ash", "elm"):
        difference = seen[name].rollout[1] - seen["oak"].rollout[1]
        np.testing.assert_allclose(page.evaluate(VALUES, name), difference.ravel(), atol=1e-7)
        assert abs(page.evaluate("name => views[name].panes.map.scene.high", name) - most) < 1e-7
        expect(page.locator(f"#{name} [data-pane=map] h3")).to_contain_text("minus oak's")
    expect(page.locator("#oak [data-pane=map] h3")).to_contain_text("(reference)")
    controls.get_by_role("tab", name="GLCA", exact=True).click()
    expect(page.locator("#elm [data-pane=map] .dcal-veil")).to_contain_text(
        "no map of this kind"
    )  # and none that was not asked for
    controls.get_by_label("Difference to").select_option("no checkpoint")
    np.testing.assert_allclose(page.evaluate(VALUES, "oak"), seen["oak"].glca_input_map.ravel())
    controls.get_by_role("tab", name="SA", exact=True).click()
    np.testing.assert_allclose(page.evaluate(VALUES, "elm"), seen["elm"].sa_map.ravel())
