"""The page that the dashboard's server sends, its styles in its head; and what a run of its script costs beside."""

from __future__ import annotations

import asyncio
import gc
import importlib
import sys
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from dcal_explorer.dashboard import main, server
from dcal_explorer.dashboard.server import HERE, Styled

PAGE = b"<!DOCTYPE html><html><head><title>Streamlit</title></head><body></body></html>"


def served(body: bytes, kind: str, accept: str) -> tuple[dict[str, str], bytes, dict[str, str]]:
    """(headers, body) as the browser gets them, and the request's headers as streamlit gets them."""
    asked: dict[str, str] = {}
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.update((name.decode(), value.decode()) for name, value in scope["headers"])
        headers = {"content-type": kind, "content-length": str(len(body)), "etag": '"file"', "last-modified": "today"}
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            }
        )
        await send({"type": "http.response.body", "body": body})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {"type": "http", "headers": [(b"accept", accept.encode()), (b"accept-encoding", b"gzip")]}
    asyncio.run(Styled(app)(scope, receive, send))
    start, answer = sent
    return {n.decode(): v.decode() for n, v in start["headers"]}, answer["body"], asked


def test_the_styles_are_in_the_head() -> None:
    headers, body, asked = served(PAGE, "text/html; charset=utf-8", "text/html,*/*")
    head = body.decode().partition("</head>")[0]
    assert (HERE / "frame.css").read_text() in head and head.count("<style>") == 1
    assert int(headers["content-length"]) == len(body)
    assert not {"etag", "last-modified"} & set(headers) and "accept-encoding" not in asked


@pytest.mark.parametrize(("kind", "accept"), [("text/html", "*/*"), ("application/json", "text/html")])
def test_what_is_no_page_stays_as_it_is(kind: str, accept: str) -> None:
    headers, body, _ = served(PAGE, kind, accept)
    assert body == PAGE and headers["etag"] == '"file"' and int(headers["content-length"]) == len(PAGE)


def test_the_server_collects_garbage_while_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    monkeypatch.setattr(server, "collect_always", lambda: begun.append("collecting"))
    monkeypatch.setattr(
        "dcal_explorer.dashboard.server.config.get_option", lambda name: {"server.headless": True}[name]
    )

    async def serve() -> None:
        async with server.started(None):
            assert begun == ["collecting"]

    asyncio.run(serve())


def test_what_a_page_imports_is_left_out_of_the_garbage_collections_after_every_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Streamlit collects after each run; with torch imported that was more than half of the run."""
    shown, view = [], "dcal_explorer.dashboard.views.nowhere"

    def imported(name: str) -> None:
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(page=lambda: shown.append(gc.get_freeze_count())))

    monkeypatch.setattr(main, "st", SimpleNamespace(title=str, spinner=nullcontext))
    monkeypatch.setattr(importlib, "import_module", imported)
    gc.unfreeze()
    try:
        main.page_of("nowhere", "No page")()
        assert view in sys.modules and shown[0] > 10_000
        gc.unfreeze()
        main.page_of("nowhere", "No page")()
        assert shown[1] == 0  # once for each view
    finally:
        gc.unfreeze()
