"""How legible a text is on a page."""

from __future__ import annotations

from playwright.sync_api import Page

# The colours of a text and of what lies behind it, painted over each other, as [red, green, blue] from 0 to 255.
PAINTED = """text => {
    const behind = [];
    for (let e = text; e; e = e.parentElement) behind.unshift(getComputedStyle(e).backgroundColor);
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const paint = colour => { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); };
    const read = () => [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    paint('white');
    behind.forEach(paint);
    const ground = read();
    paint(getComputedStyle(text).color);
    return [read(), ground];
}"""


def contrast(page: Page, selector: str) -> float:
    """WCAG's contrast ratio, 1 to 21, of the first text that `selector` finds against the colours behind it."""
    colours = page.locator(selector).first.evaluate(PAINTED)
    light, dark = sorted(map(luminance, colours), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(rgb: list[int]) -> float:
    red, green, blue = (
        c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (value / 255 for value in rgb)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
