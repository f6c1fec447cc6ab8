"""The demo as a process, over HTTP: who may call it, what a wrong call gets, several visitors at once, and its end."""

from __future__ import annotations

import asyncio
import base64
import http.client
import io
import json
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, ImageContent, TextContent, Tool
from PIL import Image, JpegImagePlugin

from benchmarks.load import demo, load
from benchmarks.visitor import SHOWS_THE_MARK, Refused, Visitor, endpoints
from dcal_explorer.demo.uploads import PREFIX

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[int, subprocess.Popen[str]]]:
    with demo("--checkpoints", str(CHECKPOINTS), "--mcp") as (port, process):
        yield port, process


@pytest.fixture(scope="module")
def port(server: tuple[int, subprocess.Popen[str]]) -> int:
    return server[0]


def answer(port: int, path: str = "/", host: str = "127.0.0.1", body: bytes | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Host": host, "Content-Type": "application/json"}
    connection.request("GET" if body is None else "POST", path, body, headers)
    found = connection.getresponse()
    text = found.read().decode()
    connection.close()
    return found.status, text


def test_only_this_machine_s_own_names_are_answered(port: int) -> None:
    for host in ("127.0.0.1", f"localhost:{port}"):
        assert answer(port, host=host)[0] == 200
    for host in ("attacker.example", f"127.0.0.1.attacker.example:{port}", ""):
        for path in ("/", "/gradio_api/info", "/config"):
            status, text = answer(port, path, host)
            assert status == 400 and "DCAL" not in text


def test_the_page_fetches_nothing_from_elsewhere(port: int) -> None:
    _, page = answer(port)
    loaded = re.findall(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(https?:[^"]*)"', page)
    assert not [address for address in loaded if "127.0.0.1" not in address]


@pytest.mark.parametrize("data", [[], [1], [1] * 20])
def test_a_call_that_cannot_be_read_gets_a_sentence(port: int, data: list[int]) -> None:
    visitor = Visitor(port, 0, {"layer": {str(place): value for place, value in enumerate(data)}})
    with pytest.raises(Refused) as caught:
        visitor.call("layer")
    assert len(str(caught.value)) > 20


def test_a_file_of_the_server_is_not_read(port: int) -> None:
    visitor = Visitor(port, 0, endpoints(port))
    outside = {"path": str(Path(__file__)), "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(Refused) as caught:
        visitor.call("inspect", image=outside, checkpoint="cub50-full")
    assert len(str(caught.value)) > 20 and str(Path(__file__).parent) not in str(caught.value)


def test_visitors_at_once_get_their_own_answers(server: tuple[int, subprocess.Popen[str]]) -> None:
    port, process = server
    found = load(port, process.pid, visitors=4, seconds=4, think=0, evidence=True, checkpoint="cub50-full")
    assert not {call.wrong for call in found.calls if call.wrong}
    assert {call.name for call in found.calls} & SHOWS_THE_MARK  # a slow machine comes no further than a call or two
    assert len(found.times("inspect")) >= 4 and len(found.times("evidence")) >= 4


def test_drawings_are_jpeg_of_full_colour(port: int) -> None:
    """Every image that an endpoint draws: quality 95, colours not subsampled."""
    buffer, drawn = io.BytesIO(), []
    Image.new("RGB", (16, 16)).save(buffer, "JPEG", quality=95)
    visitor = Visitor(port, 0, endpoints(port))
    visitor.call("inspect", image=visitor.upload(9), checkpoint="cub50-full")
    for name in ("layer", "compare", "evidence"):
        found = visitor.call(name, **({"target": "Cardinal"} if name == "evidence" else {}))
        drawn += [visitor.image(output) for output in found if isinstance(output, dict) and "path" in output]
    jpegs = [image for image in drawn if isinstance(image, JpegImagePlugin.JpegImageFile)]
    assert len(jpegs) == len(drawn) >= 5
    assert {JpegImagePlugin.get_sampling(image) for image in jpegs} == {0}  # 4:4:4
    tables = JpegImagePlugin.JpegImageFile(io.BytesIO(buffer.getvalue())).quantization
    assert [image.quantization == tables for image in jpegs] == [True] * len(jpegs)


def by_protocol(port: int, *calls: tuple[str, dict[str, Any]]) -> tuple[list[Tool], list[CallToolResult]]:
    """The server's tools, and what they answer to `calls`, by a client of the Model Context Protocol."""

    async def converse() -> tuple[list[Tool], list[CallToolResult]]:
        address = f"http://127.0.0.1:{port}/gradio_api/mcp/"
        async with streamable_http_client(address) as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            tools = (await session.list_tools()).tools
            return tools, [await session.call_tool(name, arguments) for name, arguments in calls]

    return asyncio.run(converse())


def test_tools_by_the_model_context_protocol(port: int) -> None:
    upload = Visitor(port, 0, {}).upload(9)["path"]
    model = {"checkpoint": "cub50-full"}
    tools, (listed, drawn, foreign, wrong) = by_protocol(
        port,
        ("list_checkpoints", {}),
        ("draw_map", {"image": upload, "map": "relevance", **model}),
        ("draw_map", {"image": str(Path(__file__)), **model}),
        ("draw_patch", {"image": "cardinal", "row": 1, "column": "two", **model}),
    )
    assert {own.name for own in tools} == {
        *("list_checkpoints", "inspect_image", "draw_map", "draw_patch", "measure_map"),
        *("compare_image", "list_gallery", "search_gallery", "explain_match"),
    }  # and none that would draw from a session's record
    for own in tools:
        required = [name for name, value in own.inputSchema["properties"].items() if "description" not in value]
        assert own.description and not required
    text = listed.content[0]
    assert isinstance(text, TextContent)
    assert {"cub50-full", "reid-full"} <= {own["checkpoint"] for own in json.loads(text.text)["checkpoints"]}
    image, about = drawn.content[0], drawn.content[-1]
    assert isinstance(image, ImageContent) and isinstance(about, TextContent)
    assert min(Image.open(io.BytesIO(base64.b64decode(image.data))).size) > 100 and "Relevance" in about.text
    assert foreign.isError and "There is no image" in str(foreign.content[0])
    assert wrong.isError and "'two' is not of type" in str(wrong.content[0])


def test_tools_are_for_this_machine_s_own_names_alone(port: int) -> None:
    call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).encode()
    assert answer(port, "/gradio_api/mcp/", "attacker.example", call)[0] == 400


def test_a_busy_port_is_one_sentence(port: int) -> None:
    command = [sys.executable, "-m", "dcal_explorer.demo", "--no-browser", "--port", str(port)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 2
    assert found.stderr == f"dcal: port {port} cannot be used (Address already in use): give another --port, or none\n"


def test_sigterm_leaves_nothing_behind(server: tuple[int, subprocess.Popen[str]]) -> None:
    """The last test of the server."""
    port, process = server
    visitor = Visitor(port, 0, {})
    place = next(path for path in Path(visitor.upload(7)["path"]).parents if path.name.startswith(PREFIX))
    assert place.parent == Path(tempfile.gettempdir())
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 128 + signal.SIGTERM
    assert not place.exists()
