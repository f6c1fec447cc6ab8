"""The demo in a real browser, as a person uses it, on the bundled checkpoints and samples."""

from __future__ import annotations

import io
import json
import re
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
from dcal_explorer.content.places import SAMPLES
from dcal_explorer.demo.inputs import NOT_UPLOADED
from tests.fixtures.contrast import contrast

ROOT = Path(__file__).parents[2]
MAP, ATTENTION = "#live-view [data-pane=map]", "#live-view [data-pane=attention]"
SHIFTS = """globalThis.shifted = 0;
new PerformanceObserver(list => { for (const e of list.getEntries()) if (!e.hadRecentInput) shifted += e.value; })
    .observe({ type: "layout-shift", buffered: true });"""
PATIENCE = 120_000  # ms, as everywhere: the machine may be busy
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
    """Put an image in its place, whether there is one already or not."""
    page.locator("#image input[type=file]").first.set_input_files(path)


def cross(page: Page) -> Locator:
    """What takes the image away; it is there as long as there is an image."""
    return page.locator("#image button[aria-label='Remove Image']")


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).first.click()


def settled(page: Page) -> None:
    """Wait until nothing is computed for the view any more."""
    expect(page.locator("#live-view .dcal-veil:visible")).to_have_count(0)


def test_a_person_uploads_an_image_moves_the_layer_clicks_a_patch_and_takes_the_result(demo: Page) -> None:
    image = SAMPLES / "cardinal.webp"
    seen = dcal.inspect(dcal.load(ROOT / "checkpoints" / "cub50-full"), image)
    upload(demo, image)
    name, probability = seen.top(1)[0]
    first = demo.locator("#predictions li").first
    expect(first).to_contain_text(name.partition(".")[2].replace("_", " "))
    expect(first.locator("b")).to_have_count(3)  # SA + GLCA, SA, GLCA
    expect(first.locator("b.fused")).to_have_text(f"{probability:.1%}")
    expect(demo.locator(f"{MAP} h3")).to_have_text("Relevance for Cardinal")
    expect(demo.locator(f"{MAP} .dcal-score")).to_contain_text("deletion")

    demo.get_by_role("tab", name="Rollout", exact=True).click()
    slider = demo.get_by_role("slider", name="Layer", exact=True)
    slider.focus()
    for _ in range(3):
        slider.press("ArrowLeft")
    expect(demo.locator(f"{MAP} h3")).to_have_text("Rollout after layer 9 of 12")
    box = demo.locator(f"{MAP} .dcal-stage").bounding_box()
    left, top, right, bottom = seen.box
    height, width = seen.image.shape[:2]
    x, y = (left + 9.5 * (right - left) / 14) / width, (top + 4.5 * (bottom - top) / 14) / height
    demo.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    demo.mouse.move(1, 1)
    settled(demo)
    expect(demo.locator(f"{MAP} .dcal-readout")).to_contain_text("Row 5, column 10:")
    attended = seen.token(8, 4, 9)
    row, column = divmod(int(attended.argmax()), 14)
    expect(demo.locator(f"{ATTENTION} .dcal-readout")).to_contain_text(f"row {row + 1}, column {column + 1}")

    with demo.expect_download() as download:
        demo.get_by_role("button", name="Download the record (NPZ)").click()
    record = dcal.Inspection.from_npz(download.value.path())
    assert record.fingerprint == seen.fingerprint
    np.testing.assert_allclose(record.rollout, seen.rollout, atol=1e-6)
    with demo.expect_download() as download:
        demo.locator("#live-view").get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "dcal-cardinal-rollout-layer-9.png"
    with Image.open(download.value.path()) as opened:
        assert opened.format == "PNG" and opened.width > 2048  # both panes


def test_what_only_the_model_can_tell(demo: Page) -> None:
    kinds = demo.locator(".dcal-kinds")
    kinds.get_by_role("radio", name="Contrast").click()
    expect(demo.locator(f"{MAP} h3")).to_contain_text("American Goldfinch rather than")
    for tab, title in {"Features": "Similarity to row", "Token size": "Token size after layer 12 of 12"}.items():
        demo.get_by_role("tab", name=tab, exact=True).click()
        settled(demo)
        expect(demo.locator(f"{MAP} h3")).to_contain_text(title)
        expect(demo.locator(f"{MAP} .dcal-readout")).to_contain_text("Strongest")
    demo.get_by_role("button", name="Faithfulness").click()
    demo.get_by_role("button", name="Measure this map").click()
    expect(demo.locator(".dcal-charts svg")).to_have_count(2)


def test_r_moves_the_predictions_and_another_checkpoint_may_have_none(demo: Page) -> None:
    before = demo.locator("#predictions").inner_text()
    expect(demo.locator("#moved")).to_contain_text("20 of 196 patches.")
    demo.locator("#live-ratio input[type=range]").press("End")
    expect(demo.locator("#moved")).to_contain_text("196 of 196 patches. The prediction")
    assert demo.locator("#predictions").inner_text() != before
    demo.locator("#checkpoint input").click()
    demo.get_by_role("option", name="cub50-sa_only").click()
    expect(demo.get_by_role("tab", name="Selection", exact=True)).to_have_count(0)  # there is nothing to select
    expect(demo.locator("#live-ratio")).to_be_hidden()
    expect(demo.locator("#predictions li").first.locator("b")).to_have_count(1)


def test_a_link_restores_what_was_chosen_and_back_goes_back(page: Page, url: str) -> None:
    page.goto(f'{url}/?image=cardinal&checkpoint=cub50-sa_glca&r=0.3&view={{"map":"rollout","layer":4,"kept":60}}')
    expect(page.locator(f"{MAP} h3")).to_have_text("Rollout after layer 5 of 12")
    expect(page.locator(f"{MAP} .dcal-readout")).to_contain_text("Row 5, column 5:")
    expect(page.locator("#checkpoint input")).to_have_value("cub50-sa_glca")
    expect(page.locator("#moved")).to_contain_text("59 of 196 patches.")
    expect(page.locator("#predictions li").first).to_contain_text("Cardinal")
    page.locator("#samples button").first.click()
    expect(page.locator("#predictions li").first).to_contain_text("Goldfinch")
    expect(page).to_have_url(re.compile("image=american-goldfinch"))
    page.go_back()
    expect(page.locator("#predictions li").first).to_contain_text("Cardinal")


def test_a_server_that_was_started_anew_shows_the_same_image(demo: Page, tmp_path: Path) -> None:
    """The page hears of another server's number, is loaded again, and knows no image but the one that it showed."""
    mine = tmp_path / "mine.png"
    mine.write_bytes((SAMPLES / "indigo-bunting.webp").read_bytes())
    upload(demo, mine)
    bunting = demo.locator("#predictions")
    expect(bunting).to_contain_text("Indigo Bunting")
    expect(demo).not_to_have_url(re.compile("image="))
    before = bunting.inner_text()
    with demo.expect_navigation():
        demo.route("**/app_id", lambda route: route.fulfill(json={"app_id": 1}), times=1)
    expect(bunting).to_contain_text("Indigo Bunting")
    expect(bunting).to_have_text(before, use_inner_text=True)
    expect(demo.locator(f"{MAP} h3")).to_have_text("Relevance for Indigo Bunting")
    open_tab(demo, "Compare")
    expect(demo.locator("#compared-predictions")).to_be_visible()


def test_an_image_that_was_removed_makes_room_for_another(demo: Page, tmp_path: Path) -> None:
    cross(demo).click()
    expect(cross(demo)).to_have_count(0)
    expect(demo.locator("#live-view canvas")).to_have_count(0)
    expect(demo.locator("#predictions li")).to_have_count(0)
    misnamed = tmp_path / "bunting.png"  # what a file is called does not matter
    misnamed.write_bytes((SAMPLES / "indigo-bunting.webp").read_bytes())
    upload(demo, misnamed)
    expect(demo.locator("#predictions")).to_contain_text("Indigo Bunting")


def test_a_prediction_that_is_clicked_shows_its_evidence(demo: Page) -> None:
    demo.get_by_role("tab", name="Rollout", exact=True).click()
    second = demo.locator("#predictions li").nth(1)
    name = second.locator("span").inner_text()
    second.locator("button").click()
    expect(demo.locator(f"{MAP} h3")).to_have_text(f"Relevance for {name}")
    demo.locator("#live-class input").click()
    demo.keyboard.type("cardinal")  # in the place of the name that stands there
    expect(demo.locator("#live-class input")).to_have_value("cardinal")
    demo.keyboard.press("Enter")
    expect(demo.locator(f"{MAP} h3")).to_have_text("Relevance for Cardinal")


def test_four_checkpoints_are_compared(demo: Page) -> None:
    open_tab(demo, "Compare")
    for number in (1, 2, 3, 4):
        expect(demo.locator(f"#compared-{number} canvas").first).to_be_visible()
    expect(demo.locator("#verdict")).to_contain_text("American Goldfinch")


def bad_files(folder: Path) -> dict[Path, str]:
    """Files that are no images to look at, and what the page says of them."""
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
        "large.png": (bytes(21_000_000), "maximum allowed size"),
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
        expect(demo.locator("#image img")).to_be_visible()
        upload(demo, SAMPLES / "cat.webp")
        expect(demo.locator("#predictions li").first).to_be_visible()
        expect(demo.locator("#image img")).to_be_visible()


def test_an_image_replaced_before_it_was_inspected_leaves_what_was_there(demo: Page, tmp_path: Path) -> None:
    """What gradio refuses has emptied its place by then, and the upload before it is called without an image."""
    large = tmp_path / "large.png"
    large.write_bytes(bytes(21_000_000))
    for wait in range(20, 200, 40):  # ms; somewhere among them the upload has arrived and its event has not left
        upload(demo, SAMPLES / "cat.webp")
        demo.wait_for_timeout(wait)
        upload(demo, large)
        demo.wait_for_timeout(1000)
        expect(demo.locator("#image img")).to_be_visible()
        demo.wait_for_timeout(1000)
        expect(demo.locator("#predictions li").first).to_be_visible()


def test_odd_images_are_looked_at_and_explained(demo: Page, tmp_path: Path) -> None:
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
    page.add_init_script(SHIFTS)
    page.goto(url)
    expect(page.locator("#live-view canvas").first).to_be_visible()
    expect(page.locator("#moved")).to_contain_text("patches")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    for tab in ("Rollout", "Selection", "Token size"):  # a strip that the finger moves; none is behind a menu
        page.locator("#live-view").get_by_role("tab", name=tab, exact=True).click()
        expect(page.locator("#live-view").get_by_role("tab", name=tab, exact=True)).to_be_in_viewport()
    page.get_by_role("tab", name="Rollout", exact=True).click()
    page.get_by_role("radio", name="Layer 5", exact=True).click()
    expect(page.locator(f"{MAP} h3")).to_have_text("Rollout after layer 5 of 12")
    expect(page.get_by_label("Scale", exact=True)).to_be_visible()
    cut = page.evaluate(
        """() => [...document.querySelectorAll('.form .block *, .controls .block, #predictions li, .sentence')]
            .filter(e => e.offsetParent && e.getBoundingClientRect().right >
                         (e.parentElement.closest('.block')?.getBoundingClientRect().right ?? innerWidth) + 1)
            .map(e => [e.className, e.textContent])"""
    )
    assert not cut
    assert (
        min(contrast(page, text) for text in ("#summary p", "#moved p", "#predictions b", f"{MAP} .dcal-score")) > 4.5
    )
    assert page.evaluate("() => shifted") < 0.05


def test_a_desktop_screen_has_map_and_controls_at_once(page: Page, url: str) -> None:
    page.set_viewport_size({"width": 1400, "height": 900})
    page.add_init_script(SHIFTS)
    page.goto(url)
    expect(page.locator("#moved")).to_contain_text("patches")
    expect(page.locator("#live-view .dcal-look")).to_be_in_viewport(ratio=1)
    expect(page.locator("#predictions li").last).to_be_in_viewport(ratio=1)
    page.wait_for_timeout(500)
    assert page.evaluate("() => shifted") < 0.05


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
    refused = (NOT_UPLOADED, "cannot be answered", '"error": null')  # gradio refuses some paths itself, without a word
    assert any(words in answer for words in refused)
