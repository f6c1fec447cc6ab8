"""Connections that send nothing, or too slowly, are ended; answers that take long, and steady uploads, are not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http import auto
from uvicorn.server import ServerState

from dcal_explorer.demo import connections
from dcal_explorer.demo.connections import TimedConnection, limit_connections

HEAD = b"GET / HTTP/1.1\r\nhost: x\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 400\r\n\r\n"
LONG = 1.2  # seconds that an answer takes
CHUNK, LARGE = 2**16, 2**25  # bytes: more than the system keeps for a client that does not read
Client = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bytes]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HEAD": 0.4, "GRACE": 0.4, "LOOK": 0.1, "SLOWEST": 100.0}.items():
        monkeypatch.setattr(connections, name, value)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Reads the request, and answers with how many bytes it has; a GET of /long takes its time, of /large `LARGE`."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        size, more = size + len(message["body"]), message.get("more_body", False)
    if scope["path"] == "/large":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % LARGE)]})
        for _ in range(LARGE // CHUNK):
            await send({"type": "http.response.body", "body": bytes(CHUNK), "more_body": True})
        return await send({"type": "http.response.body", "body": b""})
    await asyncio.sleep(LONG if scope["path"] == "/long" else 0)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
    await send({"type": "http.response.body", "body": b"%03d" % size})


def served(*clients: Client) -> list[bytes]:
    """What each of the clients, which come one after the other, got of one server."""

    async def run() -> list[bytes]:
        config, state = (
            uvicorn.Config(app, http=TimedConnection, log_level="critical", timeout_keep_alive=5),
            ServerState(),
        )
        config.load()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: TimedConnection(config, state, {}), "127.0.0.1", 0)
        port, tasks = server.sockets[0].getsockname()[1], []
        for client in clients:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            tasks.append(asyncio.create_task(one(client, reader, writer)))
            await asyncio.sleep(0.01)
        found = await asyncio.wait_for(asyncio.gather(*tasks), 20)
        server.close()
        return found

    return asyncio.run(run())


async def one(client: Client, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    try:
        return await client(reader, writer)
    finally:
        writer.close()


async def idle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    return await reader.read()


def dripping(start: bytes) -> Client:
    """A client that sends `start`, and then a byte now and then until the server ends it."""

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(start)
        answer = asyncio.create_task(reader.read())
        while not answer.done():
            writer.write(b"x")
            await asyncio.sleep(0.05)
        return await answer

    return client


async def after_an_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """A client that gets an answer, and begins a second request that it does not end."""
    writer.write(HEAD + b"\r\n")
    first = await reader.readuntil(b"000")
    return first + await dripping(HEAD + b"a: ")(reader, writer)


async def long_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(HEAD.replace(b"/", b"/long", 1) + b"\r\n")
    return await reader.readuntil(b"000")


async def steady(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """400 bytes in 1 s."""
    writer.write(UPLOAD)
    for _ in range(20):
        writer.write(b"x" * 20)
        await asyncio.sleep(0.05)
    return await reader.readuntil(b"400")


async def again_and_again(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """A connection that is used every quarter of a second, longer than a head may take."""
    for _ in range(5):
        writer.write(HEAD + b"\r\n")
        found = await reader.readuntil(b"000")
        await asyncio.sleep(0.25)
    return found


def test_who_sends_nothing_or_too_slowly_is_ended() -> None:
    nothing, head, body, second = served(idle, dripping(HEAD + b"a: "), dripping(UPLOAD), after_an_answer)
    assert nothing == head == b""
    assert body.startswith(b"HTTP/1.1 408") and body.endswith(connections.TOO_SLOW)
    assert second.startswith(b"HTTP/1.1 200") and second.endswith(b"000")


def test_long_answers_steady_uploads_and_used_connections_stay() -> None:
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in served(long_answer, steady, again_and_again))


def reading(first: float, between: float) -> Client:
    """A client of a large answer that waits so many seconds before it begins to read, and between two reads."""

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(HEAD.replace(b"/", b"/large", 1) + b"\r\n")
        await asyncio.sleep(first)
        await reader.readuntil(b"\r\n\r\n")
        came = 0
        try:
            while came < LARGE and (data := await reader.read(CHUNK)):
                came += len(data)
                await asyncio.sleep(between)
        except ConnectionError:
            pass
        return b"%d" % came

    return client


def test_who_does_not_read_an_answer_is_ended_and_who_reads_it_slowly_is_not() -> None:
    unread, slow = served(reading(1.0, 0), reading(0, 0.002))
    assert int(unread) < LARGE and int(slow) == LARGE


def test_a_client_that_reads_nothing_is_let_go_of_in_the_end() -> None:
    """Its connection cannot be closed in the usual way: what is left to be read keeps it open."""

    class Transport:
        def __init__(self) -> None:
            self.ended: list[str] = []

        def close(self) -> None:
            self.ended.append("closed")

        def abort(self) -> None:
            self.ended.append("aborted")

    async def run() -> list[str]:
        config = uvicorn.Config(app, http=TimedConnection, log_level="critical")
        config.load()
        connection = TimedConnection(config, ServerState(), {})
        connection.transport = Transport()  # type: ignore[assignment]
        connection._end()
        await asyncio.sleep(0.3)
        return connection.transport.ended  # type: ignore[attr-defined]

    assert asyncio.run(run()) == ["closed", "aborted"]


def test_who_waits_longest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "most_connections", lambda: 3)
    monkeypatch.setattr(connections, "HEAD", 1000.0)
    left: list[str] = []

    def named(name: str) -> Client:
        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
            await asyncio.wait([asyncio.create_task(reader.read())], timeout=LONG / 2)
            if reader.at_eof():
                left.append(name)
            return b""

        return client

    served(long_answer, named("first"), named("second"), named("third"), named("fourth"))
    assert left == ["first", "second"]


def test_where_all_are_answered_the_newest_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "most_connections", lambda: 2)
    *answers, refused = served(long_answer, long_answer, idle)
    assert refused == b"" and all(answer.startswith(b"HTTP/1.1 200") for answer in answers)


def test_the_demo_s_server_has_these_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "AutoHTTPProtocol", auto.AutoHTTPProtocol)  # put back afterwards
    limit_connections()
    config = uvicorn.Config(app)  # as gradio makes it
    config.load()
    assert config.http_protocol_class is TimedConnection


@pytest.mark.parametrize(("files", "most"), [(1024, 800), (256, 56), (100, 1), (-1, 800), (10**6, 800)])
def test_fewer_where_few_files_may_be_open(monkeypatch: pytest.MonkeyPatch, files: int, most: int) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda kind: (files, files))
    assert connections.most_connections() == most
