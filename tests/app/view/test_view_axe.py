"""The live view under axe-core's rules, where npm has installed it (`npm install --prefix tests`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser

from tests.fixtures.axe import needs_axe, violations
from tests.fixtures.view_page import record, set_state, show


@needs_axe
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
def test_axe_finds_nothing(browser: Browser, scheme: Any, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    values = np.full((4, 3, 5), 0.01, dtype=np.float32)
    values[3, 0, 0] = 0.5  # an outlier, so that its note is there
    show(page, record(rollout=values, prefix=2), scheme="light dark")
    page.get_by_role("button", name="Numbers").click()
    set_state(page, kept=7)
    found = violations(page, ".dcal-view")
    assert not found, [(rule["id"], rule["help"], [node["html"][:200] for node in rule["nodes"]]) for rule in found]
    context.close()
