"""How long the live view takes from an event to the frame that shows it, in a real browser.

    python -m benchmarks.view_latency [--record FILE.npz] [--rounds N] [--json PATH]

The record (default: one made by hand) has DeiT-Tiny's size at 224 pixels: 12 layers, 3 heads, 14 × 14 patches. Events
come from the browser's own input; three times are taken of each, in ms:

- handled: from the event's arrival in the page to the end of the frame that follows, layout and painting included;
- since input: from the browser's time stamp on the event, so waiting for the next of 60 frames a second counts;
- processor: what the page's main thread computed for it, which does not depend on what else the machine does.

Goal: handled in 16 ms at the 95th percentile; 50 ms where a layer has to be fetched. Fetched arrays come by HTTP from
this process, so a face's own server is no part of it.
"""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

import dcal
from dcal.model.kinds import TokenLayout
from dcal_explorer.view.answers import answer
from dcal_explorer.view.page import standalone
from dcal_explorer.view.payload import payload
from tests.conftest import FLAGS
from tests.fixtures.find_browser import NONE_FOUND, find

LAYERS, HEADS, SIDE, WIDTH = 12, 3, 14, 64
Action = Callable[[Page, int, "Processor"], None]
MEASURE = """() => {
    globalThis.times = [];
    const channel = new MessageChannel();
    let waiting = null;
    channel.port1.onmessage = () => {
        times.push(waiting.map(start => performance.now() - start));
        waiting = null;
    };
    const start = event => {
        if (waiting) return;
        waiting = [performance.now(), event.timeStamp];
        requestAnimationFrame(() => channel.port2.postMessage(0));
    };
    for (const name of ["pointermove", "keydown"]) addEventListener(name, start, { capture: true });
}"""
FETCH = """async layer => {
    view.attention.layers.clear();
    view.attention.kept.clear();
    const start = performance.now();
    view.set({ layer });
    while (view.panes.attention.scene.waiting) await new Promise(done => setTimeout(done));
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    times.push([performance.now() - start, performance.now() - start]);
}"""

FETCHES = """globalThis.answerView = async request => {
    const answered = await fetch("/", { method: "POST", body: JSON.stringify(request) });
    return answered.json();
};"""


def made() -> dcal.Inspection:
    """A record of noise, of DeiT-Tiny's size."""
    numbers = np.random.default_rng(0)
    tokens = SIDE * SIDE + 1

    def some(*shape: int) -> np.ndarray:
        return numbers.random(shape, dtype=np.float32)

    return dcal.Inspection(
        image=numbers.integers(0, 256, (683, 1024, 3), dtype=np.uint8),
        view=numbers.integers(0, 256, (224, 224, 3), dtype=np.uint8),
        box=(64.0, 43.0, 960.0, 640.0),
        notes=(),
        config=dcal.ModelConfig(backbone="deit_tiny_patch16_224", num_classes=2),
        layout=TokenLayout(1, SIDE, SIDE),
        fingerprint="0" * 64,
        queries=some(LAYERS, HEADS, tokens, WIDTH),
        keys=some(LAYERS, HEADS, tokens, WIDTH),
        final_tokens=some(tokens, 6),
        rollout=some(LAYERS, SIDE, SIDE) / 200,
        sa_probabilities=some(2),
        probabilities=some(2),
        embedding=some(6),
        top_ratio=0.1,
    )


@contextmanager
def served(seen: dcal.Inspection) -> Iterator[str]:
    """The address of a server of the view's page, which answers what the view fetches."""
    page = standalone(payload(seen)).replace("<body>", f"<body>\n<script>{FETCHES}</script>").encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # a connection for all requests, as browsers and servers keep it

        def do_GET(self) -> None:
            self.reply(page, "text/html")

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.reply(json.dumps(answer(seen, request)).encode(), "application/json")

        def reply(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@contextmanager
def opened(seen: dcal.Inspection) -> Iterator[Page]:
    """The view of `seen` in Chromium, 1400 × 900 pixels, every layer's attention read."""
    path = find() or exit(NONE_FOUND)
    with served(seen) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(address)
        page.evaluate("async () => { await view.ready; await view.loader.prefetch(); }")
        page.wait_for_function("() => view.attention.layers.size === view.seen.layers")
        page.evaluate(MEASURE)
        yield page
        browser.close()


class Processor:
    """The processor time of a page's main thread."""

    def __init__(self, page: Page) -> None:
        self.session = page.context.new_cdp_session(page)
        self.session.send("Performance.enable", {"timeDomain": "threadTicks"})
        self.page, self.spent, self.before = page, list[float](), 0.0

    def start(self) -> None:
        self.before = self._total()

    def stop(self) -> None:
        """Wait for the frame, and note what was spent since `start`, in ms."""
        self.page.wait_for_timeout(30)
        self.spent.append(1000 * (self._total() - self.before))

    def _total(self) -> float:
        found = self.session.send("Performance.getMetrics")["metrics"]
        return next(metric["value"] for metric in found if metric["name"] == "TaskDuration")


def hover(page: Page, rounds: int, processor: Processor) -> None:
    box = page.locator("[data-pane=map] .dcal-stage").bounding_box()
    assert box
    place = np.random.default_rng(1)
    for _ in range(rounds):
        across, down = place.uniform(0.1, 0.9, 2)
        processor.start()
        page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
        processor.stop()
    page.mouse.move(1, 1)


def keys(label: str, role: str) -> Action:
    """A control's arrow keys, there and back."""

    def press(page: Page, rounds: int, processor: Processor) -> None:
        page.get_by_role(role, name=label, exact=True).first.focus()  # type: ignore[arg-type]
        for turn in range(rounds):
            processor.start()
            page.keyboard.press("ArrowLeft" if turn // 8 % 2 == 0 else "ArrowRight")
            processor.stop()

    return press


def fetched(page: Page, rounds: int, processor: Processor) -> None:
    for turn in range(rounds):
        processor.start()
        page.evaluate(FETCH, turn % LAYERS)
        processor.stop()


def set_smooth(page: Page, smooth: bool) -> None:
    page.evaluate("smooth => view.set({ smooth })", smooth)


ACTIONS: dict[str, Action] = {
    "hover": hover,
    "layer": keys("Layer", "slider"),
    "head": keys("All heads", "radio"),
    "opacity": keys("Opacity", "slider"),
    "fetched layer": fetched,
}


def measured(page: Page, action: Action, rounds: int, processor: Processor) -> dict[str, float]:
    page.evaluate("() => { times.length = 0; }")
    processor.spent.clear()
    action(page, rounds, processor)
    page.wait_for_timeout(200)
    handled, since_input = np.array(page.evaluate("() => times")).T
    found: dict[str, float] = {"events": len(handled)}
    for name, times in (("handled", handled), ("since input", since_input), ("processor", processor.spent)):
        found[f"{name} p50"], found[f"{name} p95"] = map(float, np.quantile(times, (0.5, 0.95)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=Path, help="a record that dcal wrote (default: noise of DeiT-Tiny's size)")
    parser.add_argument("--rounds", type=int, default=200, help="events of each kind (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    seen = dcal.Inspection.from_npz(options.record) if options.record else made()
    found: dict[str, dict[str, float]] = {}
    kinds = ("handled", "since input", "processor")
    print(f"| action | events | {' | '.join(f'{kind}, p50 / p95 ms' for kind in kinds)} |\n|---|---|---|---|---|")
    with opened(seen) as page:
        processor = Processor(page)
        for smooth in (False, True):
            set_smooth(page, smooth)
            for name, action in ACTIONS.items():
                title = f"{name}, smooth" if smooth else name
                one = found[title] = measured(page, action, options.rounds, processor)
                cells = (f"{one[f'{kind} p50']:.1f} / {one[f'{kind} p95']:.1f}" for kind in kinds)
                print(f"| {title} | {one['events']:.0f} | {' | '.join(cells)} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
