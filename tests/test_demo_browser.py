"""The demo as a person uses it: upload a picture, move the layer, click a patch, read the result."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

SAMPLES = Path(__file__).resolve().parent.parent / "app" / "samples"
# What no face may choke on, and what the page must say about it.
BAD = {
    "cut-off.jpg": "damaged or cut off",
    "document.png": "PDF",
    "bomb.png": "80 million",
    "dot.png": "1×1 pixels",
}


@pytest.fixture
def demo(page: Page, serve: Callable[..., str]) -> Page:
    page.goto(serve("-m", "app.demo", "--no-browser"))
    expect(page.locator("#layer-sentence")).to_contain_text("Layer 12 of 12")
    return page


def clear(page: Page) -> None:
    """Take away the picture that is shown, as its cross does."""
    page.locator("#photo button[aria-label='Remove Image']").click()


def upload(page: Page, name: str, data: bytes) -> None:
    """Put a file into the empty place for a picture."""
    expect(page.locator("#photo button[aria-label='Remove Image']")).to_have_count(0)
    page.locator("#photo input[type=file]").first.set_input_files(
        {"name": name, "mimeType": "image/png", "buffer": data}
    )


def bad_file(name: str) -> bytes:
    buffer = io.BytesIO()
    if name == "document.png":
        return b"%PDF-1.7\n" + bytes(200)
    if name == "cut-off.jpg":
        Image.effect_noise((300, 200), 90).save(buffer, "JPEG")
        return buffer.getvalue()[:4000]
    Image.new("1", (30_000, 30_000) if name == "bomb.png" else (1, 1)).save(buffer, "PNG")
    return buffer.getvalue()


def test_upload_move_the_layer_click_a_patch_read(demo: Page) -> None:
    clear(demo)
    upload(demo, "cardinal.webp", (SAMPLES / "cardinal.webp").read_bytes())
    expect(demo.locator("#predictions")).to_contain_text("Cardinal")
    layer = demo.locator("#views input[type=number]:visible").first
    layer.fill("4")
    layer.press("Enter")
    expect(demo.locator("#layer-sentence")).to_contain_text("Layer 4 of 12")
    picture = demo.locator("#layer-picture img")
    size = picture.bounding_box()
    assert size is not None
    picture.click(position={"x": size["width"] / 2, "y": size["height"] * 0.45})
    said = demo.locator("#patch-sentence")
    expect(said).to_contain_text("layer 4")
    expect(said).to_contain_text("What the outlined patch attends to")
    expect(demo.locator("#patch-picture img")).to_be_visible()


def test_bad_files_get_a_clear_message_and_the_next_upload_works(demo: Page) -> None:
    clear(demo)
    for name, says in BAD.items():  # the page takes a picture that failed away by itself
        upload(demo, name, bad_file(name))
        expect(demo.get_by_text(says).first).to_be_visible()
    upload(demo, "indigo-bunting.webp", (SAMPLES / "indigo-bunting.webp").read_bytes())
    expect(demo.locator("#predictions")).to_contain_text("Indigo Bunting")
