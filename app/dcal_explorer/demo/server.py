"""The page "DCAL Explorer", and its server."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import NoReturn

import gradio as gr
from gradio import processing_utils

from dcal_explorer.content.checkpoints import CheckpointLibrary
from dcal_explorer.content.places import SAMPLES, STYLES, sample_images
from dcal_explorer.demo import compare_tab, inspect_tab, reid_tab
from dcal_explorer.demo.cached_images import write_whole_images
from dcal_explorer.demo.callbacks.compare import CompareCallbacks
from dcal_explorer.demo.callbacks.inspect import InspectCallbacks
from dcal_explorer.demo.callbacks.reid import ReIDCallbacks
from dcal_explorer.demo.inputs import NOT_UPLOADED

HERE = Path(__file__).resolve().parent
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
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Consolas", "monospace")


def page(callbacks: InspectCallbacks, samples: list[Path]) -> gr.Blocks:
    """The whole page, not yet served. Inspects one image, so that the model is warm and the controls fit it."""
    first, bare = callbacks.warm(samples), callbacks.library.bare
    with gr.Blocks(
        title="DCAL Explorer", analytics_enabled=False, fill_width=True, delete_cache=(3600, 3600)
    ) as blocks:
        gr.Markdown(BARE.format(callbacks.library.names()[0]) if bare else HEADER, elem_id="header")
        with gr.Tabs():
            with gr.Tab("Inspect", id="inspect"):
                inspect_tab.build(blocks, callbacks, samples, first)
            if not bare:  # one model has nothing to compare with, and no gallery
                with gr.Tab("Compare", id="compare") as tab:
                    compare_tab.build(tab, CompareCallbacks(callbacks), samples)
                with gr.Tab("Re-identify", id="reidentify") as tab:
                    reid_tab.build(tab, ReIDCallbacks(callbacks))
    blocks.queue(default_concurrency_limit=2, max_size=64)
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


def serve(library: CheckpointLibrary, folder: Path, port: int | None = None, browser: bool = False) -> None:
    """Serve the page until interrupted."""
    callbacks, samples = InspectCallbacks(library, folder), sample_images()
    fetch_nothing()
    write_whole_images()
    blocks = page(callbacks, samples)
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
        allowed_paths=[str(SAMPLES)],
        prevent_thread_lock=True,
        _frontend=False,  # no check that the page answers within 3 s: a busy machine fails it
        quiet=True,
    )
    print(f"DCAL Explorer is at {url}", flush=True)
    if browser:
        webbrowser.open(url)
    blocks.block_thread()


def fetch_nothing() -> None:
    """Refuse images given by address: gradio would fetch them, and this page opens no outside connection."""

    async def refuse(url: str, cache_dir: str) -> NoReturn:
        raise gr.Error(NOT_UPLOADED, print_exception=False)

    processing_utils.async_ssrf_protected_download = refuse
