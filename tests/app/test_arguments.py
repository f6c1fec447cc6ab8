"""Whatever a program sends to a named endpoint, it gets an answer or a sentence that names the wrong argument."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable
from pathlib import Path
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
    "image": ["uploads"],
    "ratio": ["R must"],
    "target": ["class"],
    "rival": ["class"],
    "hit": ["image in the ranking"],
    "against": ["image in the ranking"],
    "most": ["number"],
    "fusion": ["fusion"],
}


@pytest.fixture(scope="module")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uploads")
    noise = np.random.default_rng(1).integers(0, 256, (70, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "image.png")
    return folder


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory, uploads: Path) -> gr.Blocks:
    """The page with all of its tabs."""
    folder = write_ablations(tmp_path_factory.mktemp("all"))
    for place in write_checkpoints(tmp_path_factory.mktemp("reid")).iterdir():
        place.rename(folder / place.name)

    async def build() -> gr.Blocks:
        return server.page(InspectCallbacks(CheckpointLibrary(folder), uploads), [])

    return asyncio.run(build())


@pytest.fixture(scope="module")
def endpoints(blocks: gr.Blocks, uploads: Path) -> dict[str, tuple[Callable[..., Any], list[Any]]]:
    """{endpoint: (its callback, arguments that it answers)}, with a record where it needs one."""
    image = {"path": str(uploads / "image.png"), "meta": {"_type": "gradio.FileData"}}
    functions = {f.api_name: f for f in blocks.fns.values() if f.api_visibility == "public" and f.fn}
    records: dict[str, str | None] = {}
    return {name: (function.fn, arguments(function, image, records)) for name, function in functions.items()}


def test_where_a_visitor_clicked_is_not_mixed_up(blocks: gr.Blocks) -> None:
    """gradio's "always_last" calls again with the data of an earlier event."""
    clicked = [
        function
        for function in blocks.fns.values()
        if function.fn
        and any(str(of.annotation).endswith("Data") for of in inspect.signature(function.fn).parameters.values())
    ]
    assert len(clicked) >= 4
    assert {function.trigger_mode for function in clicked} == {"multiple"}


def test_an_image_dropped_on_another_takes_nothing_away(blocks: gr.Blocks) -> None:
    """gradio says that the image was removed; unless the visitor did it, what the page shows stays."""
    removed = [f for f in blocks.fns.values() if f.fn and f.fn.__name__ == "removed"]
    assert len(removed) == 3
    for function in removed:
        assert function.js and function.fn
        kept, emptied = function.fn("no record", ""), function.fn("no record", "by hand")
        assert len(kept) == len(emptied) == len(function.outputs) and emptied[0] is None
        assert all(value == gr.skip() for value in kept)


def arguments(function: Any, image: dict[str, Any], records: dict[str, str | None]) -> list[Any]:
    """Each control's first value; an uploaded image; a record that the same callbacks keep."""
    return [
        own(component, name, function, image, records)
        for component, name in zip(function.inputs, names_of(function.fn), strict=False)
    ]


def own(component: Any, name: str, function: Any, image: dict[str, Any], records: dict[str, str | None]) -> Any:
    if name in EXAMPLES:
        return EXAMPLES[name]
    if isinstance(component, gr.Image):
        return image
    if name == "record":
        return None if function.api_name in MAKERS else record_for(function.fn.__self__, image, records)
    choices = getattr(component, "choices", None)
    return choices[0][1] if component.value is None and choices else component.value


EXAMPLES = {"image": "images/0025_c3.webp", "answer": "same", "across": False, "gallery": ""}
MAKERS = {"inspect", "compare_checkpoints", "search", "choose"}


def record_for(owner: Any, image: dict[str, Any], records: dict[str, str | None]) -> str | None:
    kind = type(owner).__name__
    if kind not in records:
        if kind == "CompareCallbacks":
            records[kind] = owner.compare_checkpoints(image, ["ash", "oak"])[0]
        elif kind == "ReIDCallbacks":
            records[kind] = owner.search(image, "reid-full")[0]
            owner.ranking(records[kind], across=False)
        else:  # others draw from the records of InspectCallbacks
            inspecting = owner if kind == "InspectCallbacks" else owner.inspect
            records[kind] = inspecting.inspect(image, "ash")[0]
    return records[kind]


def answered(call: Callable[..., Any], given: list[Any]) -> bool:
    try:
        call(*given)
    except gr.Error:
        return False
    return True


def test_wrong_arguments_get_a_sentence(endpoints: dict[str, Any]) -> None:
    sound = {name for name, (call, given) in endpoints.items() if answered(call, given)}
    assert len(sound) > 12, set(endpoints) - sound
    bad, calls = [], 0
    for name, (call, given) in endpoints.items():
        for place, argument in enumerate(names_of(call)[: len(given)]):
            if argument == "record":
                continue  # it is the server's own, kept in the session
            for wrong in [*WRONG, WRONG_FOR_ALL]:
                calls += 1
                said = outcome(call, [*given[:place], wrong, *given[place + 1 :]])
                named = name not in sound or any(word in (said or "") for word in (argument, *CALLED.get(argument, ())))
                if said == "" or (wrong is WRONG_FOR_ALL and not (said and named)):
                    bad.append(f"{name}({argument}={wrong!r}): {said!r}")
    assert not bad, f"{len(bad)} of {calls}:\n" + "\n".join(bad)


def outcome(call: Callable[..., Any], given: list[Any]) -> str | None:
    """None for an answer; what the page says; "" where it would say nothing."""
    try:
        call(*given)
    except gr.Error as error:
        return str(error).strip("'\"")
    except Exception:
        return ""
    return None


def names_of(call: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(call).parameters)
