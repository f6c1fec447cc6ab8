"""Whatever a program sends to a named endpoint, it gets an answer or a sentence that names the wrong argument."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from dcal_explorer.content.checkpoints import CheckpointLibrary
from dcal_explorer.demo import server
from dcal_explorer.demo.callbacks.inspect import InspectCallbacks
from tests.fixtures.ablations import write_ablations
from tests.fixtures.tiny_yard import write_checkpoints

WRONG = [None, "nonsense", "", -1, 0.5, 10**9, math.nan, True, [], [1, "a"], {}, {"path": "/etc/passwd"}]
WRONG_FOR_ALL = {"a": 1}  # of no argument's type
# How messages call arguments that have a shorter name in the code.
CALLED = {
    "image": "uploads",
    "ratio": "R must",
    "target": "class",
    "rival": "class",
    "reference": "reference",
    "hit": "image in the ranking",
    "most": "number",
    "colormap": "colormap",
    "map": "map",
}


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Callable[..., Any], list[Any]]]]:
    """{endpoint: (its callback, arguments that it answers)}, with a record where it needs one."""
    folder = write_ablations(tmp_path_factory.mktemp("all"))
    for place in write_checkpoints(tmp_path_factory.mktemp("reid")).iterdir():
        place.rename(folder / place.name)
    uploads = tmp_path_factory.mktemp("uploads")
    noise = np.random.default_rng(1).integers(0, 256, (70, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(uploads / "image.png")
    image = {"path": str(uploads / "image.png"), "meta": {"_type": "gradio.FileData"}}

    async def build() -> gr.Blocks:
        return server.page(InspectCallbacks(CheckpointLibrary(folder), uploads), [])

    functions = {f.api_name: f for f in asyncio.run(build()).fns.values() if f.api_visibility == "public" and f.fn}
    records: dict[str, str | None] = {}
    yield {name: (function.fn, arguments(function, image, records, functions)) for name, function in functions.items()}


def arguments(function: Any, image: dict[str, Any], records: dict[str, str | None], functions: dict[str, Any]) -> list:
    """Each control's first value; an uploaded image; the record that `inspect`, … keep for the same callbacks."""
    return [own(component, function, image, records, functions) for component in function.inputs]


def own(component: Any, function: Any, image: dict[str, Any], records: dict, functions: dict[str, Any]) -> Any:
    if isinstance(component, gr.Image):
        return image
    if isinstance(component, gr.State):
        return record_for(function.fn.__self__, image, records, functions) if function.api_name not in MAKERS else None
    choices = getattr(component, "choices", None)
    if component.value is None and choices:
        return choices[0][1]
    return component.value


MAKERS = {"inspect", "compare_checkpoints", "search", "choose"}


def record_for(owner: Any, image: dict[str, Any], records: dict, functions: dict[str, Any]) -> str | None:
    kind = type(owner).__name__
    if kind not in records:
        records[kind] = None
        if kind == "CompareCallbacks":
            records[kind] = owner.compare_checkpoints(image, ["ash", "oak"])[0]
        elif kind == "ReIDCallbacks":
            records[kind] = owner.search(image, "reid-full")[0]
            owner.ranking(records[kind], across=False)
        else:
            records[kind] = (
                getattr(owner, "inspect", owner).inspect(image, "ash")[0]
                if kind == "InspectCallbacks"
                else (owner.inspect.inspect(image, "ash")[0])
            )
    return records[kind]


def test_every_endpoint_answers_its_own_defaults(endpoints: dict[str, Any]) -> None:
    assert len(endpoints) > 10
    unanswered = {}
    for name, (call, given) in endpoints.items():
        try:
            call(*given)
        except gr.Error as error:
            unanswered[name] = str(error)
    assert set(unanswered) <= {"download_picture"}, unanswered


def test_wrong_arguments_get_a_sentence(endpoints: dict[str, Any]) -> None:
    bad, calls = [], 0
    for name, (call, given) in endpoints.items():
        names = list(call_names(call))
        for place in range(len(given)):
            if names[place] == "record":
                continue  # it is the server's own, kept in the session
            for wrong in [*WRONG, WRONG_FOR_ALL]:
                calls += 1
                try:
                    call(*given[:place], wrong, *given[place + 1 :])
                except gr.Error as error:
                    said = str(error).strip("'\"")
                    called = CALLED.get(names[place], names[place])
                    if not said or (wrong is WRONG_FOR_ALL and not (called in said or names[place] in said)):
                        bad.append(f"{name}({names[place]}={wrong!r}) said {said!r}")
                except Exception as error:
                    bad.append(f"{name}({names[place]}={wrong!r}) raised {type(error).__name__}: {error}")
                else:
                    if wrong is WRONG_FOR_ALL:
                        bad.append(f"{name}({names[place]}={wrong!r}) was answered")
    assert not bad, f"{len(bad)} of {calls}:\n" + "\n".join(bad)


def call_names(call: Callable[..., Any]) -> Iterator[str]:
    import inspect

    return iter(inspect.signature(call).parameters)
