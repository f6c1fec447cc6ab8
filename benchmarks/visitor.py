"""A visitor of the demo over HTTP: uploads an image with a mark, calls endpoints, and reads the mark in every answer.

Only the standard library, numpy and pillow, so that thirty of them cost little beside the server that they measure.
"""

from __future__ import annotations

import http.client
import io
import json
import random
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

CELLS = 4  # a mark is CELLS × CELLS fields, black or white: a number of 16 bits
DARK = 50  # between black and the darkest that the demo draws white: 0.3 · 255, outside of what the model sees
API = "/gradio_api"


class Refused(Exception):
    """The server said no, in a sentence."""


@dataclass(frozen=True)
class Call:
    """One call: the endpoint, when it began (seconds), how long it took, and what was wrong with the answer."""

    name: str
    start: float
    seconds: float
    wrong: str = ""  # "", "refused", "error …" or "foreign"


@dataclass
class Visitor:
    """One session. `inputs`: what each endpoint takes, by name, with the defaults (see `endpoints`)."""

    port: int
    number: int
    inputs: dict[str, dict[str, Any]]
    session: str = field(default_factory=lambda: uuid.uuid4().hex)
    calls: list[Call] = field(default_factory=list)

    def upload(self, mark: int) -> dict[str, Any]:
        """The description of an uploaded image with this mark, as endpoints take it."""
        return self.upload_bytes(marked(mark), f"{mark}.jpg")

    def upload_bytes(self, data: bytes, name: str) -> dict[str, Any]:
        """The description of an uploaded file."""
        border = uuid.uuid4().hex
        head = f'--{border}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
        body = f"{head}Content-Type: image/jpeg\r\n\r\n".encode() + data + f"\r\n--{border}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={border}"}
        (path,) = json.loads(self._ask("POST", f"{API}/upload", body, kind))
        return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}

    def call(self, name: str, **values: Any) -> list[Any]:
        """The outputs of an endpoint in this session. Raises Refused with what the server said instead."""
        data = list((self.inputs[name] | values).values())
        body = json.dumps({"data": data, "session_hash": self.session}).encode()
        headers = {"Content-Type": "application/json"}
        event = json.loads(self._ask("POST", f"{API}/call/{name}", body, headers))["event_id"]
        stream = self._ask("GET", f"{API}/call/{name}/{event}").decode()
        for block in stream.split("\n\n"):
            if block.startswith("event: complete"):
                return json.loads(block.split("data: ", 1)[1])
            if block.startswith("event: error"):
                said = json.loads(block.split("data: ", 1)[1])
                raise Refused(said.get("error", said) if isinstance(said, dict) else str(said))
        raise Refused(f"no answer: {stream[:200]!r}")

    def image(self, output: dict[str, Any]) -> Image.Image:
        """A drawn image among an endpoint's outputs."""
        return Image.open(io.BytesIO(self._ask("GET", f"{API}/file={output['path']}")))

    def timed(self, name: str, mark: int, expected: Any = None, **values: Any) -> None:
        """Call an endpoint and note how long it took and whether the answer is this visitor's own."""
        start, wrong = time.perf_counter(), ""
        try:
            found = self.call(name, **values)
            seconds = time.perf_counter() - start
            if name == "inspect":
                wrong = "" if same_predictions(predictions(found), expected) else "foreign"
            elif name in SHOWS_THE_MARK:
                wrong = "" if mark_in(self.image(found[0])) == mark else "foreign"
        except Refused as error:
            seconds = time.perf_counter() - start
            wrong = "refused" if BUSY in str(error) else f"error {error}"
        except (OSError, http.client.HTTPException, ValueError) as error:
            seconds, wrong = time.perf_counter() - start, f"error {type(error).__name__} {error}"
        self.calls.append(Call(name, start, seconds, wrong))

    def _ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=180)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            detail = content.decode(errors="replace")[:300]
            raise Refused(f"HTTP {answer.status}: {detail}")
        return content


BUSY = "busy"  # in every polite refusal of the demo
SHOWS_THE_MARK = {"layer", "token", "compare", "select"}  # endpoints whose first output is the image with a map
LIGHT = {  # calls that run no backbone, and what they are called with
    "layer": lambda random: {"layer": random.randint(1, 12), "opacity": 0},
    "heads": lambda random: {"layer": random.randint(1, 12)},
    "token": lambda random: {"row": random.randint(1, 14), "column": random.randint(1, 14), "opacity": 0},
    "compare": lambda random: {"opacity": 0},
    "select": lambda random: {"ratio": random.randint(1, 100) / 100},
}


def marked(mark: int, width: int = 480, height: int = 360) -> bytes:
    """A JPEG of noise on CELLS × CELLS black or white fields: the bits of `mark`, row by row."""
    bits = [(mark >> place) & 1 for place in range(CELLS * CELLS)]
    fields = np.array(bits, dtype=np.uint8).reshape(CELLS, CELLS) * 255
    grid = np.kron(fields, np.ones((height // CELLS, width // CELLS), dtype=np.uint8))
    noise = np.random.default_rng(mark).integers(0, 40, (height, width, 3))
    pixels = np.where(grid[..., None] > 0, 255 - noise, noise).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def mark_in(image: Image.Image, width: int = 480, height: int = 360) -> int:
    """The number that a drawn image shows; what is below the image (a legend) does not count."""
    shown = image.height * width / image.width >= height
    if not shown:
        return -1
    scale = image.width / width
    grey = np.asarray(image.convert("L"))
    mark = 0
    for place in range(CELLS * CELLS):
        row, column = divmod(place, CELLS)
        y, x = (scale * (row + 0.5) * height / CELLS, scale * (column + 0.5) * width / CELLS)
        spot = grey[int(y) - 6 : int(y) + 7, int(x) - 6 : int(x) + 7]
        mark |= int(np.median(spot) > DARK) << place
    return mark


def predictions(outputs: list[Any]) -> dict[str, dict[str, float]]:
    """The predictions among the outputs of /inspect; the record's key stays on the server, and comes as None."""
    return next(output for output in outputs if isinstance(output, dict))


def same_predictions(found: Any, expected: Any, tolerance: float = 0.002) -> bool:
    """Whether two answers of /inspect are of one image: batches round otherwise than single images."""
    if found.keys() != expected.keys():
        return False
    return all(
        abs(value - found[branch].get(name, value)) <= tolerance
        for branch, top in expected.items()
        for name, value in top.items()
    ) and all(next(iter(found[branch])) in expected[branch] for branch in expected)


def endpoints(port: int) -> dict[str, dict[str, Any]]:
    """{endpoint: {input: default}} of the demo at a port."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", f"{API}/info")
        named = json.loads(connection.getresponse().read())["named_endpoints"]
    finally:
        connection.close()
    return {
        name.removeprefix("/"): {
            parameter["parameter_name"]: parameter.get("parameter_default") for parameter in about["parameters"]
        }
        for name, about in named.items()
    }


def chance(number: int) -> random.Random:
    """A visitor's own random numbers."""
    return random.Random(number)
