"""The demo in a real browser, as a person uses it, on the bundled checkpoints and samples."""

from __future__ import annotations

import io
import json
import struct
import urllib.request
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

import dcal
from dcal import draw
from dcal_explorer.content.places import SAMPLES
from dcal_explorer.demo.inputs import NOT_UPLOADED
from tests.fixtures.contrast import contrast

ROOT = Path(__file__).parents[2]
PATIENCE = 60_000  # ms, as everywhere: the machine may be busy
expect.set_options(timeout=PATIENCE)


@pytest.fixture
def url(serve: Callable[..., str]) -> str:
    return serve("-m", "dcal_explorer.demo", "--no-browser")


@pytest.fixture
def demo(page: Page, url: str) -> Page:
    """The page, opened: the first sample is already inspected."""
    page.goto(url)
    expect(page.locator("#live-view canvas").first).to_be_visible()
    expect(page.locator("#predictions li").first).to_be_visible()
    return page


def upload(page: Page, path: Path) -> None:
    """Put a picture in its place, whether there is one already or not."""
    page.locator("#photo input[type=file]").first.set_input_files(path)


def cross(page: Page) -> Locator:
    """What takes the photo away; it is there as long as there is a photo."""
    return page.locator("#photo button[aria-label='Remove Image']")


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).first.click()


def click_patch(page: Page, picture: str, seen: dcal.Inspection, row: int, column: int) -> None:
    """Click the middle of a patch, counted from 0, on a drawn picture of the whole photo."""
    image = page.locator(f"{picture} img")
    image.scroll_into_view_if_needed()
    natural = image.evaluate("async image => (await image.decode(), [image.naturalWidth, image.naturalHeight])")
    shown = image.bounding_box()
    assert shown is not None
    scale = min(shown["width"] / natural[0], shown["height"] / natural[1])  # fitted whole into its place
    x0 = (shown["width"] - natural[0] * scale) / 2
    y0 = (shown["height"] - natural[1] * scale) / 2
    left, top, right, bottom = (edge * natural[0] / seen.image.shape[1] for edge in seen.box)
    x = left + (column + 0.5) * (right - left) / seen.layout.cols
    y = top + (row + 0.5) * (bottom - top) / seen.layout.rows
    image.click(position={"x": x0 + x * scale, "y": y0 + y * scale})


def test_a_person_uploads_a_photo_moves_the_layer_clicks_a_patch_and_reads_the_result(demo: Page) -> None:
    photo = SAMPLES / "cardinal.webp"
    seen = dcal.inspect(dcal.load(ROOT / "checkpoints" / "cub50-full"), photo)
    upload(demo, photo)

    name, probability = seen.top(1)[0]
    first = demo.locator("#predictions .both li").first
    expect(first).to_contain_text(name.partition(".")[2].replace("_", " "))
    expect(first).to_contain_text(f"{probability:.1%}")
    expect(demo.locator("#predictions .branch")).to_have_count(3)

    open_tab(demo, "Layers")
    sentence = demo.locator("#layer-sentence")
    expect(sentence).to_contain_text("Layer 12 of 12.")
    slider = demo.get_by_role("slider", name="Layer").first
    slider.focus()
    for _ in range(3):
        slider.press("ArrowLeft")
    expect(sentence).to_contain_text("Layer 9 of 12.")
    expect(sentence).to_contain_text(draw.percent(float(seen.rollout[8].max())))

    click_patch(demo, "#layer-picture", seen, 4, 9)  # opens the view of patches, at the same layer
    patch = demo.locator("#patch-sentence")
    expect(patch).to_contain_text("Row 5, column 10, layer 9, mean of all heads.")
    expect(patch).to_contain_text(draw.percent(float(seen.token(8, 4, 9).max())))
    click_patch(demo, "#patch-picture", seen, 11, 2)
    expect(patch).to_contain_text("Row 12, column 3, layer 9")
    expect(patch).to_contain_text(draw.percent(float(seen.token(8, 11, 2).max())))

    with demo.expect_download() as download:
        demo.get_by_role("button", name="Download the record (NPZ)").click()
    record = dcal.Inspection.from_npz(download.value.path())
    assert record.fingerprint == seen.fingerprint
    np.testing.assert_allclose(record.rollout, seen.rollout, atol=1e-6)
    with demo.expect_download() as download:
        demo.get_by_role("button", name="Download this image (PNG)").click()
    assert download.value.suggested_filename == "dcal-patch-12-3-layer-9.png"
    with Image.open(download.value.path()) as picture:
        assert picture.format == "PNG"
        assert max(picture.size) > 1024  # larger than the one on the page


def test_a_photo_taken_away_makes_room_for_another_and_a_layer_can_be_typed(demo: Page, tmp_path: Path) -> None:
    cross(demo).click()
    expect(cross(demo)).to_have_count(0)
    misnamed = tmp_path / "bunting.png"  # what a file is called does not matter
    misnamed.write_bytes((SAMPLES / "indigo-bunting.webp").read_bytes())
    upload(demo, misnamed)
    expect(demo.locator("#predictions")).to_contain_text("Indigo Bunting")
    open_tab(demo, "Layers")
    layer = demo.locator("#look input[type=number]:visible").first
    layer.fill("4")
    layer.press("Enter")
    expect(demo.locator("#layer-sentence")).to_contain_text("Layer 4 of 12.")


def test_every_view_shows_its_pictures_and_says_what_they_are(demo: Page) -> None:
    for tab, sentences in {
        "Heads": {"#heads-sentence": "Layer 12, 3 heads."},
        "One patch": {"#patch-sentence": "What the outlined patch attends to."},
        "SA and GLCA": {"#sa-sentence": "SA.", "#glca-sentence": "GLCA.", "#difference-sentence": "GLCA − SA."},
        "Selection": {"#selection-sentence": "R = 10%: 20 of 196 patches."},
        "Class evidence": {"#gradient-sentence": "Gradient-weighted rollout for", "#relevance-sentence": "Chefer"},
        "Layers": {"#layer-sentence": "Layer 12 of 12.", "#strip-sentence": "each of the 12 layers"},
    }.items():
        open_tab(demo, tab)
        for place, text in sentences.items():
            expect(demo.locator(place)).to_contain_text(text)
            picture = place.replace("-sentence", "-picture").replace("#strip-picture", "#layer-strip")
            expect(demo.locator(f"{picture} img")).to_be_visible()


def test_r_moves_the_selection_and_another_checkpoint_may_have_none(demo: Page) -> None:
    open_tab(demo, "Selection")
    sentence = demo.locator("#selection-sentence")
    expect(sentence).to_contain_text("R = 10%")
    demo.locator("#views").get_by_role("slider", name="R, the share").last.press("End")
    expect(sentence).to_contain_text("R = 100%: 196 of 196 patches.")
    demo.get_by_label("Checkpoint").click()
    demo.get_by_role("option", name="cub50-sa_only").click()
    expect(demo.get_by_role("tab", name="Selection", exact=True)).to_be_hidden()  # there is nothing to select
    expect(demo.locator("#live-view canvas").first).to_be_visible()
    expect(demo.locator("#predictions .branch")).to_have_count(1)


def test_the_rollout_plays_from_the_first_layer_to_the_last(demo: Page) -> None:
    open_tab(demo, "Layers")
    play = demo.locator("#play")
    play.click()
    expect(play).to_contain_text("Pause")
    expect(demo.locator("#layer-sentence")).not_to_contain_text("Layer 12 of")
    expect(play).to_contain_text("Play")
    expect(demo.locator("#layer-sentence")).to_contain_text("Layer 12 of")


def test_a_prediction_that_is_clicked_shows_its_evidence(demo: Page) -> None:
    second = demo.locator("#predictions .both li").nth(1)
    name = second.locator("span").inner_text()
    second.locator("button").click()
    expect(demo.locator("#live-sentence")).to_contain_text(f"Relevance for {name}")


def test_four_checkpoints_are_compared(demo: Page) -> None:
    open_tab(demo, "Compare")
    for number in (1, 2, 3, 4):
        expect(demo.locator(f"#compared-{number} canvas").first).to_be_visible()
    expect(demo.locator("#verdict")).to_contain_text("American Goldfinch")


def test_an_image_that_is_removed_clears_its_maps(demo: Page) -> None:
    cross(demo).click()
    expect(demo.locator("#live-view canvas")).to_have_count(0)
    expect(demo.locator("#predictions li")).to_have_count(0)


def bad_files(folder: Path) -> dict[Path, str]:
    """Files that are no pictures to look at, and what the page says of them."""
    jpeg, noise = io.BytesIO(), np.random.default_rng(0).integers(0, 256, (300, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(jpeg, "JPEG")
    one = io.BytesIO()
    Image.new("RGB", (1, 1)).save(one, "PNG")
    contents = {
        "truncated.jpg": (jpeg.getvalue()[:9000], "damaged or cut off"),
        "document.png": (b"%PDF-1.4\n", "PDF document"),
        "bomb.png": (bomb(30_000), "80 million"),
        "one.png": (one.getvalue(), "1×1 pixels"),
        "drawing.svg": (b'<svg xmlns="http://www.w3.org/2000/svg"><circle r="4"/></svg>', "SVG drawing"),
        "empty.png": (b"", "file is empty"),
    }
    for name, (data, _) in contents.items():
        (folder / name).write_bytes(data)
    return {folder / name: message for name, (_, message) in contents.items()}


def bomb(side: int) -> bytes:
    """A black PNG of side × side pixels, one bit each, in a hundred kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    squeeze = zlib.compressobj(9)
    rows = b"".join(squeeze.compress(bytes(1 + side // 8)) for _ in range(side)) + squeeze.flush()
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_bad_files_get_a_clear_message_and_the_next_upload_works(demo: Page, tmp_path: Path) -> None:
    for path, message in bad_files(tmp_path).items():
        upload(demo, path)
        toast = demo.locator(".toast-body")
        expect(toast).to_have_count(1)
        expect(toast).to_contain_text(message)
        expect(toast).not_to_contain_text("/")  # no path of the server
        demo.locator(".toast-close").click()
        expect(demo.locator("#predictions li").first).to_be_visible()  # the page keeps what it had
        expect(demo.locator("#photo img")).to_be_visible()
        upload(demo, SAMPLES / "cat.webp")
        expect(demo.locator("#predictions li").first).to_be_visible()
        expect(demo.locator("#photo img")).to_be_visible()


def test_odd_pictures_are_looked_at_and_explained(demo: Page, tmp_path: Path) -> None:
    panorama, animation = tmp_path / "panorama.jpg", tmp_path / "animation.gif"
    noise = np.random.default_rng(0).integers(0, 256, (30, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((3000, 300)).save(panorama)
    frames = [Image.new("RGB", (200, 160), (20 * i, 90, 30)) for i in range(7)]
    frames[0].save(animation, save_all=True, append_images=frames[1:])
    upload(demo, panorama)
    expect(demo.locator("#summary")).to_contain_text("10 times as long")
    upload(demo, animation)
    expect(demo.locator("#summary")).to_contain_text("several frames")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_shows_all_without_scrolling_sideways(page: Page, url: str, scheme: Any) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    page.emulate_media(color_scheme=scheme)
    page.goto(url)
    expect(page.locator("#live-view canvas").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    cut = page.evaluate(
        """() => [...document.querySelectorAll('.form .block *, .controls .block, #predictions li, .sentence')]
            .filter(e => e.offsetParent && e.getBoundingClientRect().right >
                         (e.parentElement.closest('.block')?.getBoundingClientRect().right ?? innerWidth) + 1)
            .map(e => [e.className, e.textContent])"""
    )
    assert not cut
    assert contrast(page, "#summary p") > 4.5


@pytest.mark.browser  # needs the server, if not the browser
@pytest.mark.parametrize(
    "image",
    [
        {"path": str(SAMPLES / "cat.webp")},
        {"path": str(SAMPLES / "cat.webp"), "meta": {"_type": "gradio.FileData"}},
        {"path": "https://example.org/a.png", "meta": {"_type": "gradio.FileData"}},
        {"path": "https://example.org/a.png"},
    ],
)
def test_the_api_neither_reads_files_nor_fetches_addresses(url: str, image: dict[str, Any]) -> None:
    headers = {"Content-Type": "application/json"}
    body = json.dumps({"data": [image, "cub50-full"]}).encode()
    with urllib.request.urlopen(
        urllib.request.Request(f"{url}/gradio_api/call/inspect", data=body, headers=headers), timeout=60
    ) as response:
        event = json.load(response)["event_id"]
    with urllib.request.urlopen(f"{url}/gradio_api/call/inspect/{event}", timeout=60) as response:
        answer = response.read().decode()
    assert answer.startswith("event: error")
    assert NOT_UPLOADED in answer or '"error": null' in answer  # gradio refuses some paths itself, without a word
