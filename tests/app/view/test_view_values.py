"""What the live view computes and writes, against the record's own maps in numpy."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import Page

from tests.fixtures.view_page import ATTENTION, MAP, at_patch, readout, record, set_state, show, state, written


def rows_in_browser(page: Page, layer: int, token: int) -> np.ndarray:
    got = page.evaluate(
        """async ([layer, token]) => {
            if (!view.attention.rows(layer, token)) await view.attention.load(layer, token);
            return Array.from(view.attention.rows(layer, token));
        }""",
        [layer, token],
    )
    return np.array(got).reshape(page.evaluate("() => view.seen.heads"), -1)


@pytest.mark.parametrize("prefix", [1, 2, 5])
def test_every_tokens_attention_is_the_records(page: Page, prefix: int) -> None:
    seen = record(prefix=prefix)
    show(page, seen)
    for layer in range(seen.num_layers):
        for token in range(prefix + seen.layout.patches):
            np.testing.assert_allclose(
                rows_in_browser(page, layer, token), seen.attention_rows(layer, token), atol=2e-7
            )


def test_rows_are_fetched_one_by_one_where_a_layer_is_too_large(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcal_explorer.view.payload.LARGEST_LAYER", 100)
    seen = record()
    show(page, seen)
    assert page.evaluate("() => view.seen.attention.mode") == "rows"
    np.testing.assert_array_equal(rows_in_browser(page, 2, 9), seen.attention_rows(2, 9))
    assert page.evaluate("() => view.attention.layers.size") == 0


@pytest.mark.parametrize(("fusion", "fuse"), [("mean", np.mean), ("max", np.max), ("min", np.min)])
def test_readouts_are_right_to_the_digits_shown_under_every_fusion(page: Page, fusion: str, fuse) -> None:
    seen = record()
    show(page, seen)
    set_state(page, fusion=fusion, layer=1, kept=7)
    rolled = seen.rolled(fusion)[1].ravel()
    attended = fuse(seen.attention_rows(1, 1 + 7), axis=0)[1:]
    extent = seen.rolled(fusion).max()  # one scale for all layers
    for pane, values, largest in ((MAP, rolled, extent), (ATTENTION, attended, attended.max())):
        for patch in range(seen.layout.patches):
            words = page.evaluate("([name, patch]) => view.panes[name].words(patch)", [pane[11:-1], patch])
            row, col = divmod(patch, seen.layout.cols)
            assert words == f"Row {row + 1}, column {col + 1}: {written(values[patch], largest)}"


def test_single_heads(page: Page) -> None:
    seen = record()
    show(page, seen)
    for head in range(seen.num_heads):
        set_state(page, head=head, layer=2, kept=11)
        got = page.evaluate("() => Array.from(view.panes.attention.scene.values)")
        np.testing.assert_allclose(got, seen.token(2, 2, 1, head).ravel(), atol=2e-7)


def test_any_prefix_token_can_attend_and_is_named(page: Page) -> None:
    seen = record(prefix=5)
    show(page, seen)
    for token, name in enumerate(["class token", "register 1", "register 2", "register 3", "register 4"]):
        page.get_by_label("Attending token").select_option(label=name)
        page.wait_for_function("() => !view.panes.attention.scene.waiting")
        got = page.evaluate("() => Array.from(view.panes.attention.scene.values)")
        np.testing.assert_allclose(got, seen.attention_rows(seen.num_layers - 1, token).mean(axis=0)[5:], atol=2e-7)
        assert page.evaluate("() => view.panes.attention.scene.title") == f"Attention of the {name}"


def test_the_value_under_the_cursor_and_its_attention_come_at_once(page: Page) -> None:
    seen = record()
    show(page, seen)
    page.mouse.move(*at_patch(page, seen, 1.5, 3.5))
    patch = 1 * seen.layout.cols + 3
    last = seen.rollout[-1]
    assert readout(page) == f"Row 2, column 4: {written(last[1, 3], seen.rollout.max())}"
    got = page.evaluate("() => Array.from(view.panes.attention.scene.values)")
    np.testing.assert_allclose(got, seen.attention_rows(seen.num_layers - 1, 1 + patch).mean(axis=0)[1:], atol=2e-7)
    assert page.get_by_label("Attending token").locator("option:checked").inner_text() == "row 2, column 4 (cursor)"
    page.mouse.move(1, 1)
    assert state(page, "shown") is None
    assert page.get_by_label("Attending token").locator("option:checked").inner_text() == "class token"


def test_scales_are_written_sanely(page: Page) -> None:
    """A title, two significant digits, percent for shares, never an exponent."""
    shares = np.linspace(0.0013, 0.0164, 60, dtype=np.float32).reshape(4, 3, 5)
    show(
        page,
        record(
            rollout=shares,
            relevance=np.full((3, 5), 1e-7, np.float32) * np.arange(15).reshape(3, 5).astype(np.float32),
            gradient_rollout=shares[0],
            target=1,
        ),
    )
    ends = page.locator(f"{MAP} .dcal-scale > span:not(.dcal-ramp)").all_inner_texts()
    assert ends == ["0.1\u202f%", "1.6\u202f%"]
    assert page.locator(f"{MAP} .dcal-quantity").inner_text() == "share of the class token"
    set_state(page, map="relevance")
    assert page.locator(f"{MAP} .dcal-quantity").inner_text() == "relevance, ×\u202f10⁻⁶"
    ends = page.locator(f"{MAP} .dcal-scale > span:not(.dcal-ramp)").all_inner_texts()
    assert ends == ["0.0", "1.4"]


@pytest.mark.parametrize(
    ("unit", "extent", "value", "text"),
    [
        ("share", 0.016, 0.0013, "0.13\u202f%"),
        ("share", 0.62, 0.618, "61.8\u202f%"),
        ("share", 1.0, 1.0, "100\u202f%"),
        ("share", 1e-7, 1.23e-9, "< 0.000001\u202f%"),
        ("share", 0.02, 0.0, "0.00\u202f%"),
        ("share", 0.02, -0.0123, "−1.23\u202f%"),
        ("number", 12.5, 3.14159, "3.1"),
        ("number", 0.064, 0.00107, "0.0011"),
    ],
)
def test_numbers(page: Page, unit: str, extent: float, value: float, text: str) -> None:
    show(page, record())
    assert (
        page.evaluate("([unit, extent, value]) => viewParts.writer(unit, extent).write(value)", [unit, extent, value])
        == text
    )


def test_an_outlier_is_named_and_can_be_clipped(page: Page) -> None:
    values = np.full((4, 3, 5), 0.02, dtype=np.float32)
    values += np.arange(15, dtype=np.float32).reshape(3, 5) / 1000
    values[3, 1, 2] = 0.62
    show(page, record(rollout=values))
    assert page.locator(f"{MAP} .dcal-note").inner_text() == "1 patch holds 62\u202f%"
    assert page.locator(f"{MAP} .dcal-outlier").is_visible()
    page.get_by_label("Clip outliers").check()
    assert page.locator(f"{MAP} .dcal-high").inner_text() == "≥ 3.4\u202f%"
    assert page.evaluate("() => view.panes.map.scene.high") == pytest.approx(0.034)
    assert readout(page) == "Strongest: row 2, column 3 with 62.0\u202f%"


def test_no_outlier_is_named_in_an_even_map(page: Page) -> None:
    show(page, record())
    assert page.locator(f"{MAP} .dcal-note").inner_text() == ""


def test_a_constant_map_is_flat_and_said(page: Page) -> None:
    show(page, record(rollout=np.full((4, 3, 5), 0.0051, dtype=np.float32)))
    assert page.locator(f"{MAP} .dcal-note").inner_text() == "Constant: every patch has 0.510\u202f%."


def test_the_table_holds_what_is_shown(page: Page) -> None:
    seen = record()
    show(page, seen)
    page.get_by_role("button", name="Numbers").click()
    cells = page.get_by_role("region", name="Numbers of the map").locator("tbody td")
    page.wait_for_function("() => document.querySelector('.dcal-numbers tbody td').textContent !== ''")
    last = seen.rollout[-1]
    assert cells.all_inner_texts() == [written(value, last.max()) for value in last.ravel()]
    page.get_by_role("tab", name="Selection").click()
    page.wait_for_function("() => document.querySelector('.dcal-numbers caption').textContent.startsWith('Selected')")
    assert cells.all_inner_texts().count("selected") == 4
