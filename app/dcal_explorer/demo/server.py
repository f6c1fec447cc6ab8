"""The page "DCAL Explorer", and its server."""

from __future__ import annotations

import socket
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import gradio as gr
from gradio import processing_utils, queueing, utils
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from dcal import DCALError
from dcal_explorer.content.checkpoints import CheckpointLibrary
from dcal_explorer.content.places import SAMPLES, STYLES, sample_images
from dcal_explorer.demo import address, compare_tab, inspect_tab, reid_tab
from dcal_explorer.demo.cached_images import write_whole_images
from dcal_explorer.demo.callbacks.compare import CompareCallbacks
from dcal_explorer.demo.callbacks.inspect import InspectCallbacks
from dcal_explorer.demo.callbacks.reid import ReIDCallbacks
from dcal_explorer.demo.callbacks.tools import Tools
from dcal_explorer.demo.components import PRIVATE
from dcal_explorer.demo.connections import limit_connections
from dcal_explorer.demo.inputs import NOT_UPLOADED
from dcal_explorer.demo.mcp_server import add_tools, prepare
from dcal_explorer.demo.page_sessions import MOST_PAGES, keep_small_sessions, leave_matplotlib_out
from dcal_explorer.demo.uploads import LimitedUploads, UploadLimits

HERE = Path(__file__).resolve().parent
AMEND = (HERE / "amend.js").read_text(encoding="utf-8")
HEADER = (
    "# DCAL Explorer\n"
    "See, layer by layer, what a vision transformer trained with dual cross-attention attends to. "
    "[The paper](https://arxiv.org/abs/2205.02151)"
)
BARE = (
    "# DCAL Explorer\n"
    "See, layer by layer, what the vision transformer `{}` attends to. It was not trained with dual cross-attention: "
    "these are its own self-attention's maps."
)
LARGEST = "20mb"  # upload
LOOPBACK = ("127.0.0.1", "localhost")
# Callbacks that wait in the models' own queue: there they become batches, and too many are refused politely.
QUEUED = {"inspect", "evidence", "live", "settle", "compare_checkpoints", "search"}
CONCURRENT = 64  # calls of each of them
THREADS = 80  # more than the model's queue holds, so that light calls always find one
UNREADABLE = (
    "This call cannot be answered ({}). Check the number and the kinds of its arguments: /gradio_api/info lists them."
)
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Consolas", "monospace")


def page(callbacks: InspectCallbacks, samples: list[Path], tools: Tools | None = None) -> gr.Blocks:
    """The whole page, not yet served, with the endpoints of `tools`.

    Inspects one image, so that the model is warm and the controls fit it.
    """
    first, bare = callbacks.warm(samples), callbacks.library.bare
    with gr.Blocks(
        title="DCAL Explorer", analytics_enabled=False, fill_width=True, delete_cache=(3600, 3600)
    ) as blocks:
        gr.Markdown(BARE.format(callbacks.library.names()[0]) if bare else HEADER, elem_id="header")
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Inspect", id="inspect") as first_tab:
                inspect = inspect_tab.InspectTab(callbacks, samples, first)
            each, others = {"inspect": first_tab}, list[Any]()
            if not bare:  # one model has nothing to compare with, and no gallery
                with gr.Tab("Compare", id="compare") as each["compare"]:
                    others.append(compare_tab.build(each["compare"], CompareCallbacks(callbacks), samples))
                with gr.Tab("Re-identify", id="reidentify") as each["reidentify"]:
                    others.append(reid_tab.build(each["reidentify"], ReIDCallbacks(callbacks)))
        address.wire(blocks, inspect, tabs, each, others)
        blocks.load(None, None, None, js=AMEND, **PRIVATE)
        if tools is not None:
            add_tools(tools)
    for function in blocks.fns.values():
        if function.name in QUEUED:
            function.concurrency_limit = CONCURRENT
    blocks.queue(default_concurrency_limit=4, max_size=256)
    look_less_often(blocks)
    return blocks


def theme() -> gr.themes.Base:
    """System fonts, so that nothing is fetched, and one accent colour."""
    quiet = gr.themes.Default(
        primary_hue="blue", neutral_hue="slate", radius_size="sm", spacing_size="sm", font=FONTS, font_mono=MONO
    )
    return quiet.set(
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        button_large_text_weight="500",
        button_medium_text_weight="500",
    )


def serve(
    library: CheckpointLibrary,
    folder: Path,
    port: int | None = None,
    browser: bool = False,
    hosts: Sequence[str] = (),
    mcp: bool = False,
) -> None:
    """Serve the page until interrupted, to whoever calls this machine by a loopback name or by one of `hosts`.

    Uploads are kept in `folder`. `mcp`: with tools for assistants. Raises DCALError where nothing can be served: no
    checkpoint, a port in use, or no package for what is wanted.
    """
    check_free(port)
    if mcp:
        prepare()
    callbacks, samples = InspectCallbacks(library, folder), sample_images()
    fetch_nothing()
    write_whole_images()
    tell_all_errors()
    limit_connections()
    keep_small_sessions()
    leave_matplotlib_out()
    limits = UploadLimits(folder)
    limits.tidy_always()
    blocks = page(callbacks, samples, Tools(callbacks, samples, limits) if mcp else None)
    _, url, _ = blocks.launch(
        server_name="127.0.0.1",
        server_port=port,
        share=False,
        theme=theme(),
        css_paths=[HERE / "page.css", STYLES / "bars.css", STYLES / "cards.css"],
        footer_links=["api", "settings"],
        max_file_size=LARGEST,
        ssr_mode=False,
        enable_monitoring=False,
        run_history=False,
        mcp_server=mcp,
        allowed_paths=[str(SAMPLES)],
        app_kwargs={"middleware": [hosts_alone(hosts), Middleware(LimitedUploads, limits=limits)]},
        max_threads=THREADS,
        state_session_capacity=MOST_PAGES,
        prevent_thread_lock=True,
        _frontend=False,  # no check that the page answers within 3 s: a busy machine fails it
        quiet=True,
    )
    print(f"DCAL Explorer is at {url}", flush=True)
    if browser:
        webbrowser.open(url)
    blocks.block_thread()


def look_less_often(blocks: gr.Blocks) -> None:
    """Have gradio look for new calls a hundred times a second, not a thousand, and for progress ten times.

    Its looking took half of what a page that nobody uses costs; a call waits some 5 ms longer.
    """
    queue = blocks._queue
    queue.sleep_when_free, queue.progress_update_sleep_when_free = 0.01, 0.1


def check_free(port: int | None) -> None:
    """Raises DCALError for a port that cannot be listened on. None: gradio looks for a free one."""
    if port is None:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK[0], port))
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or "it must lie in 0 … 65535"
            raise DCALError(f"port {port} cannot be used ({why}): give another --port, or none") from error


def hosts_alone(hosts: Sequence[str]) -> Middleware:
    """Requests by another host name are refused: another page's name could have been pointed at this machine."""
    return Middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK, *hosts], www_redirect=False)


def tell_all_errors() -> None:
    """Answer calls that gradio itself cannot read with a sentence; it would say nothing at all."""
    original = utils.error_payload

    def payload(error: BaseException | None, show_error: bool) -> dict[str, Any]:
        if error is None or show_error or isinstance(error, gr.Error):
            return original(error, show_error)
        return original(gr.Error(UNREADABLE.format(type(error).__name__)), show_error)

    queueing.error_payload = utils.error_payload = payload  # type: ignore[attr-defined]


def fetch_nothing() -> None:
    """Refuse images given by address: gradio would fetch them, and this page opens no outside connection."""

    async def refuse(url: str, cache_dir: str) -> NoReturn:
        raise gr.Error(NOT_UPLOADED, print_exception=False)

    processing_utils.async_ssrf_protected_download = refuse
