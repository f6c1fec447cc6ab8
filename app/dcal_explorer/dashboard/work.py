"""What pages compute is kept for all visitors. Long work, part by part, shows how far it is and can be stopped.

Streamlit ends a run where it next draws something after a click: between two parts, or where a part says how far it is.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from contextlib import closing
from typing import Any, TypeVar

import streamlit as st

from dcal.errors import DCALError
from dcal.progress import Steps, finished

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
MOST = 400  # results kept of each kind, for all visitors; the one not used for longest is dropped


class Results:
    """What was computed, by its key, the `most` last used of it. Threads may share one."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def get(self, key: Hashable) -> Any:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def keep(self, key: Hashable, value: Any) -> None:
        with self._lock:
            self._kept[key] = value
            while len(self._kept) > self.most:
                self._kept.popitem(last=False)


@st.cache_resource(show_spinner=False)
def results(kind: str, most: int = MOST) -> Results:
    """The results of one kind of work, the same for all visitors."""
    return Results(most)


def once(kind: str, key: Hashable, make: Callable[[], T], most: int = MOST) -> T:
    """What `make` returns, which is not None, by its key: what there is already is not made again."""
    kept = results(kind, most)
    found: T | None = kept.get(key)
    if found is None:
        found = make()
        kept.keep(key, found)
    return found


def at_once(make: Callable[[K], T]) -> Callable[[K], Steps[T]]:
    """`make` as a part of the work that cannot say how far it is."""

    def steps(key: K) -> Steps[T]:
        yield from ()
        return make(key)

    return steps


def worked(kind: str, keys: Sequence[K], steps: Callable[[K], Steps[T]], what: str, most: int = MOST) -> dict[K, T]:
    """{key: result}, of what there is already or can be computed before the visitor presses Stop.

    After that only those that are there, with a button to go on. `what` says what is computed, in plural or as a name.
    `kind` also names the place of the work on the page.
    """
    kept, wanted = results(kind, most), tuple(keys)
    found = {key: kept.get(key) for key in wanted if key in kept}
    missing = [key for key in wanted if key not in found]
    if not missing:
        return found
    if st.session_state.get(stopped_key(kind)) == wanted:
        say_stopped(kind, len(found), len(wanted), what)
        return found
    place = st.empty()
    with place.container(key=f"work-{kind}"):
        bar = st.progress(len(found) / len(wanted), what)
        st.button("Stop", key=f"stop-{kind}", on_click=stop, args=(kind, wanted))
    try:
        for key in missing:
            with closing(steps(key)) as running:
                found[key] = finished(running, lambda share: bar.progress((len(found) + share) / len(wanted), what))
            kept.keep(key, found[key])
            bar.progress(len(found) / len(wanted), f"{what}: {len(found)} of {len(wanted)}")
    except DCALError:
        place.empty()
        raise
    place.empty()
    return {key: found[key] for key in wanted}


def say_stopped(kind: str, done: int, total: int, what: str) -> None:
    """That the visitor stopped it, and a button to go on."""
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.info(f"Stopped: {what}, {done} of {total} done.", icon=":material/stop_circle:")
    right.button("Continue", key=f"continue-{kind}", on_click=go_on, args=(kind,))


def stopped_key(kind: str) -> str:
    return f"stopped-{kind}"


def stop(kind: str, wanted: tuple[Hashable, ...]) -> None:
    """These parts of the work are not computed until the visitor goes on, or chooses others."""
    st.session_state[stopped_key(kind)] = wanted


def go_on(kind: str) -> None:
    st.session_state.pop(stopped_key(kind), None)
