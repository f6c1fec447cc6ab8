"""The dashboard as it is served: `streamlit run app/dcal_explorer/dashboard/server.py`.

What `main.py` draws, in a page whose styles are there from the first frame: styles that a script sends come when much
is in its place already, and push it about.
"""

from __future__ import annotations

import threading
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config

from dcal_explorer.threads import collect_always

HERE = Path(__file__).resolve().parent
STYLE = f"<style>\n{(HERE / 'frame.css').read_text(encoding='utf-8')}</style>".encode()
END = b"</head>"
BROWSER_AFTER = 1.0  # seconds; the port answers by then


class Styled:
    """Puts frame.css into the head of every HTML page."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "text/html" not in Headers(scope=scope).get("accept", ""):
            await self.app(scope, receive, send)
            return
        del MutableHeaders(scope=scope)["accept-encoding"]  # a compressed page has no head to put it in
        start: list[Message] = []

        async def styled(message: Message) -> None:
            if message["type"] == "http.response.start" and is_page(message):
                start.append(message)  # its length is not known before the body
            elif start and message["type"] == "http.response.body":
                await send_styled(start.pop(), message, send)
            else:
                await send(message)

        await self.app(scope, receive, styled)


def is_page(start: Message) -> bool:
    """Whether a response is an HTML page with a body."""
    return start["status"] == 200 and Headers(raw=start["headers"]).get("content-type", "").startswith("text/html")


async def send_styled(start: Message, body: Message, send: Send) -> None:
    """The page with its styles. Its tag is of the file without them, and is left out."""
    page: bytes = body.get("body", b"")
    length = len(page)
    page = page.replace(END, STYLE + END, 1)
    headers = MutableHeaders(raw=list(start["headers"]))
    if "content-length" in headers:
        headers["content-length"] = str(int(headers["content-length"]) + len(page) - length)
    for name in ("etag", "last-modified"):
        del headers[name]
    await send({**start, "headers": headers.raw})
    await send({**body, "body": page})


@asynccontextmanager
async def started(_: Any) -> AsyncIterator[None]:
    """Opens the page in the browser, unless the server is headless. Streamlit does so for plain scripts alone.

    And garbage is collected while the server works, where streamlit would do so after every run.
    """
    collect_always()
    if not config.get_option("server.headless"):
        url = f"http://{config.get_option('server.address') or 'localhost'}:{config.get_option('server.port')}"
        timer = threading.Timer(BROWSER_AFTER, webbrowser.open, [url])
        timer.daemon = True
        timer.start()
    yield


app = st.App(HERE / "main.py", lifespan=started, middleware=[Middleware(Styled)])
