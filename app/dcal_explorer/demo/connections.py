"""Connections that send nothing, or hardly anything, are ended; uvicorn alone would keep them for ever.

A request's head has `HEAD` seconds. Its body comes, after `GRACE` seconds, with at least `SLOWEST` bytes a second on
average. Once a request is whole, an answer may take its time, but it is read: where more than the system keeps is left
for its client, `GRACE` seconds are enough for the next 48 kB. Where there are `MOST` connections, the one that has
waited longest without a request makes room for the next.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Any

from uvicorn.protocols.http import auto
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

HEAD = 15.0  # seconds; a browser opens connections before it needs them
GRACE = 20.0  # seconds
SLOWEST = 2048.0  # bytes a second: 20 MB by a line of 1 Mbit/s come sixty times as fast
MOST = 800
FILES = 200  # descriptors that are left for everything else
LOOK = 5.0  # seconds between two looks at a connection
TOO_SLOW = b"The request came too slowly, and was ended. Try again by a faster connection."
ANSWER = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(TOO_SLOW), TOO_SLOW)
)


class TimedConnection(H11Protocol):
    """uvicorn's connection, which ends when its client does not send what it began."""

    _look: asyncio.TimerHandle | None = None
    _request: RequestResponseCycle | None = None  # the one in progress at the last look
    _since = 0.0  # when that began, or the wait for one
    _received = 0  # bytes since then
    _unread: float | None = None  # since when an answer waits for its client to read

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._since = self.loop.time()
        self._look_later()
        if len(self.connections) > most_connections():
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data)

    def pause_writing(self) -> None:
        self._unread = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._unread = None
        super().resume_writing()

    def on_response_complete(self) -> None:
        self._since, self._received = self.loop.time(), 0
        super().on_response_complete()

    def _in_progress(self) -> RequestResponseCycle | None:
        return None if self.cycle is None or self.cycle.response_complete else self.cycle

    def _look_later(self) -> None:
        self._look = self.loop.call_later(LOOK, self._check)

    def _check(self) -> None:
        request, now = self._in_progress(), self.loop.time()
        if request is not self._request:
            self._request, self._since, self._received = request, max(self._since, now - LOOK), 0
        waited = now - self._since
        if self._unread is not None and now - self._unread >= GRACE:
            self.transport.abort()
        elif request is None and waited >= HEAD:
            self._end()
        elif request is not None and self._slow(request, waited):
            if not request.response_started:
                self.transport.write(ANSWER)
            self._end()
        elif self.transport.get_protocol() is self:  # else a WebSocket has taken over
            self._look_later()

    def _end(self) -> None:
        """Close the connection, and let go of it also where its client does not read what is left."""
        self.transport.close()
        self._look = self.loop.call_later(LOOK, self.transport.abort)

    def _slow(self, request: RequestResponseCycle, waited: float) -> bool:
        """Whether a request's body comes too slowly, and not for want of the application's reading it."""
        awaited = request.more_body and not self.flow.read_paused
        return awaited and waited >= GRACE and self._received < waited * SLOWEST

    def _make_room(self) -> None:
        """End the connection that has waited longest without a request; this one, where none waits."""
        waiting = [other for other in self.connections if isinstance(other, TimedConnection)]
        waiting = [other for other in waiting if other is not self and other._in_progress() is None]
        longest = min(waiting, key=lambda other: other._since, default=self)
        self.connections.discard(longest)
        longest.transport.close()


def most_connections() -> int:
    """`MOST`, or fewer where the process may open few files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else max(1, min(MOST, soft - FILES))


def limit_connections() -> None:
    """Have servers that are started from here on, and leave the protocol to uvicorn, use `TimedConnection`."""
    auto.AutoHTTPProtocol = TimedConnection
