"""The folder of uploads: gone with its program, limited for each address and in all."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from dcal_explorer.demo import uploads
from dcal_explorer.demo.uploads import LimitedUploads, UploadLimits, remove_abandoned, upload_folder


def aged(path: Path, seconds: float = 3600) -> Path:
    os.utime(path, (time.time() - seconds,) * 2)
    return path


def test_the_folder_goes_with_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def end() -> None:
        raise SystemExit(143)

    with pytest.raises(SystemExit), upload_folder() as folder:
        (folder / "image.png").write_bytes(b"x")
        end()
    assert not list(tmp_path.iterdir())


def test_folders_of_killed_programs_are_removed_and_those_of_running_ones_stay(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("dcal-demo-killed", "dcal-demo-new", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "image.png").write_bytes(b"x")
    aged(tmp_path / "dcal-demo-killed"), aged(tmp_path / "other")
    with upload_folder() as running:
        aged(running)
        remove_abandoned(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {"dcal-demo-new", "other", running.name}


def test_each_address_has_its_limit_and_others_are_not_kept_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    limits = UploadLimits(tmp_path, most=10**9, each=10_000_000)
    assert limits.refusal("10.0.0.1", 6_000_000) == ""
    said = limits.refusal("10.0.0.1", 6_000_000)
    assert said == ("You have uploaded 6 MB in the last 10 minutes; the limit is 10 MB. Try again in 10 minutes.")
    assert limits.refusal("10.0.0.2", 6_000_000) == ""
    later = time.monotonic() + uploads.WINDOW + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert limits.refusal("10.0.0.1", 6_000_000) == ""


def test_what_was_stated_and_never_came_is_given_back(tmp_path: Path) -> None:
    """Whoever states much and sends little keeps out nobody at the same address, as behind a proxy."""
    limits, sent = UploadLimits(tmp_path, most=1000, each=500), [b"x" * 60, b"x" * 40]

    async def app(scope: object, receive: Any, send: object) -> None:
        await receive()
        await receive()
        raise ConnectionError("the client went")

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": sent.pop(0), "more_body": True}

    scope = {"type": "http", "method": "POST", "path": "/upload", "client": ("10.0.0.1", 5)}
    with pytest.raises(ConnectionError):
        asyncio.run(LimitedUploads(app, limits)(scope | {"headers": [(b"content-length", b"500")]}, receive, None))
    assert limits.size == 100 and limits.refusal("10.0.0.1", 400) == ""
    assert limits.refusal("10.0.0.1", 1).startswith("You have uploaded")


def test_the_folder_has_a_limit_and_its_oldest_files_leave(tmp_path: Path) -> None:
    limits = UploadLimits(tmp_path, most=1000, each=10**9)
    for age in range(1, 10):
        (tmp_path / f"{age}.png").write_bytes(b"x" * 100)
        aged(tmp_path / f"{age}.png", 1000 * age)
    (tmp_path / "new.png").write_bytes(b"x" * 100)
    limits.tidy()
    assert limits.size == 800
    assert {path.name for path in tmp_path.iterdir()} == {*(f"{age}.png" for age in range(1, 8)), "new.png"}
    assert limits.refusal("", 150) == ""
    assert "The server's room for images, 0.0 GB, is full" in limits.refusal("", 100)


def test_folders_of_killed_programs_go_also_when_the_clock_went_back(tmp_path: Path) -> None:
    (tmp_path / "dcal-demo-killed").mkdir()
    aged(tmp_path / "dcal-demo-killed", -7200)
    remove_abandoned(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_oldest_files_leave_also_when_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two files, then two hours back, then two more: the first two leave, once they are not young, and no others."""
    limits, wall, steady = UploadLimits(tmp_path, most=1000), [1e9], [50.0]
    monkeypatch.setattr(time, "time", lambda: wall[0])
    monkeypatch.setattr(time, "monotonic", lambda: steady[0])

    def put(name: str, size: int) -> None:
        (tmp_path / name).write_bytes(b"x" * size)
        os.utime(tmp_path / name, (wall[0], wall[0]))
        limits.tidy()

    def passed(seconds: float) -> None:
        wall[0], steady[0] = wall[0] + seconds, steady[0] + seconds

    put("1", 300)
    passed(30)
    put("2", 300)
    passed(30)
    wall[0] -= 7200
    put("3", 200)
    put("4", 200)
    assert {path.name for path in tmp_path.iterdir()} == {"2", "3", "4"} and limits.size == 700
    passed(uploads.YOUNG)
    put("5", 300)
    assert {path.name for path in tmp_path.iterdir()} == {"3", "4", "5"} and limits.refusal("", 100) == ""
    put("3", 600)  # written anew: as new as its content
    assert {path.name for path in tmp_path.iterdir()} == {"3", "5"}


class Answer:
    """What an ASGI application answered."""

    def __init__(self, limits: UploadLimits, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        self.reached, self.status, self.text = False, 0, ""

        async def app(scope: object, receive: Any, send: object) -> None:
            self.reached = True
            await receive()

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": bytes(900)}

        async def send(message: dict) -> None:
            self.status = message.get("status", self.status)
            self.text += message.get("body", b"").decode()

        scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "client": ("10.0.0.1", 5)}
        asyncio.run(LimitedUploads(app, limits)(scope, receive, send))


def test_requests_are_limited_where_they_arrive(tmp_path: Path) -> None:
    limits = UploadLimits(tmp_path, each=1000)
    assert Answer(limits, "/gradio_api/upload", [(b"content-length", b"900")]).reached
    refused = Answer(limits, "/gradio_api/upload", [(b"content-length", b"900")])
    assert not refused.reached and refused.status == 429 and refused.text.startswith("You have uploaded")
    unstated = Answer(limits, "/gradio_api/upload", [])
    assert not unstated.reached and unstated.status == 411
    assert Answer(limits, "/gradio_api/call/inspect", []).reached
