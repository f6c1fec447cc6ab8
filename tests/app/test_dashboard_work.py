"""Long work of a page: parts are computed once, stopping ends it and keeps what is done, going on finishes it."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dcal.gallery.survey import CASES
from dcal_explorer.dashboard import charts, work
from dcal_explorer.dashboard.rows import table
from dcal_explorer.dashboard.views import retrieval
from tests.app.test_dashboard import texts
from tests.app.test_dashboard_pages import opened, retrieval_page
from tests.fixtures.tiny_yard import write_checkpoints


def page() -> None:
    import streamlit as st

    from dcal.errors import DCALError
    from dcal.progress import Steps
    from dcal_explorer.dashboard import work
    from dcal_explorer.dashboard.errors import shows_errors

    def part(number: int) -> Steps[int]:
        """A part's square. When it first comes to 2, Stop is pressed, as streamlit does it: the run starts anew."""
        if number == 9:
            raise DCALError("there is no ninth part")
        yield 0.5
        if number == 2 and "pressed" not in st.session_state:
            st.session_state["pressed"] = True
            work.stop("squares", (0, 1, 2, 3))
            st.rerun()
        st.session_state.setdefault("done", []).append(number)
        return number**2

    def squares() -> None:
        found = work.worked("squares", range(st.session_state.get("count", 4)), part, "Squares")
        st.write(f"found {sorted(found.items())}")

    shows_errors(squares)()


def test_a_stop_ends_it_and_keeps_what_is_done() -> None:
    app = AppTest.from_function(page, default_timeout=60).run()
    assert not app.exception and app.session_state["done"] == [0, 1]
    assert app.markdown[-1].value == "found [(0, 0), (1, 1)]"
    assert app.info[0].value == "Stopped: Squares, 2 of 4 done."
    assert [button.label for button in app.button] == ["Continue"]
    app.run()
    assert app.session_state["done"] == [0, 1]  # it stays stopped
    app.button[0].click().run()
    assert app.session_state["done"] == [0, 1, 2, 3] and not app.info and not app.button
    assert app.markdown[-1].value == "found [(0, 0), (1, 1), (2, 4), (3, 9)]"
    app.session_state["count"] = 10
    app.run()
    assert app.error[0].value == "there is no ninth part" and not app.button
    assert app.session_state["done"] == list(range(9))  # what was there was not computed again


def test_the_result_not_used_for_longest_is_dropped() -> None:
    kept = work.Results(most=2)
    for key in "ab":
        kept.keep(key, key.upper())
    assert kept.get("a") == "A"
    kept.keep("c", "C")
    assert "b" not in kept and kept.get("a") == "A" and kept.get("c") == "C" and kept.get("b") is None


def test_what_is_there_is_not_made_again() -> None:
    st.cache_resource.clear()
    made: list[str] = []

    def length(of: str) -> int:
        made.append(of)
        return len(of)

    assert [work.once("lengths", of, partial(length, of)) for of in ("", "ab", "", "ab")] == [0, 2, 0, 2]
    assert made == ["", "ab"]  # also what is false
    assert work.once("other lengths", "ab", lambda: 7) == 7


def test_a_figure_is_made_once_for_its_data() -> None:
    st.cache_resource.clear()
    shown: list[Any] = []
    place = SimpleNamespace(plotly_chart=lambda figure, **options: shown.append((figure, options)))
    one, two = {"a": ([0, 1], [0.5, 0.25]), "<b>": ([0], [1.0])}, {"a": ([0, 1], [0.5, 0.75])}
    for data in (one, two, dict(one), dict(reversed(one.items()))):
        charts.chart_of(charts.lines, data, "x", "y", key="lines", place=place)
    charts.chart_of(charts.lines, one, "x", "y", True, key="lines", place=place)
    figures = [figure for figure, _ in shown]
    assert figures[0] is figures[2] and len({id(figure) for figure in figures}) == 4
    assert [trace.name for trace in figures[0].data] == ["a", "&lt;b>"]
    assert figures[1].data[0].y == (0.5, 0.75) and figures[3].data[0].name == "&lt;b>"
    assert shown[0][1] == {"width": "stretch", "key": "lines"}


def test_a_table_has_the_columns_of_all_rows() -> None:
    rows = [{"name": "owl", "top": "1"}, {"name": "kiwi", "last": "2"}]
    assert table(rows).to_pydict() == {"name": ["owl", "kiwi"], "top": ["1", "–"], "last": ["–", "2"]}


def test_no_module_of_the_dashboard_hides_one_of_pythons() -> None:
    """Streamlit puts the script's folder first among the places where modules are looked for."""
    own = {path.stem for path in Path(work.__file__).parent.glob("*.py")}
    assert len(own) > 10 and not own & set(sys.stdlib_module_names)


def test_stopped_work_keeps_what_is_done_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pressed: list[str] = []

    def stopping(kind: str, steps: Any, when: Any) -> Any:
        """`steps`, but the first time that `when` holds for its key, Stop is pressed after its first share."""

        def page_steps(key: Any) -> Any:
            running = steps(key)
            yield next(running)
            if when(key) and kind not in pressed:
                pressed.append(kind)
                wanted = [(*key[:3], *case) for case in CASES] if kind == "comparison" else [key]
                work.stop(kind, tuple(wanted))
                st.rerun()
            return (yield from running)

        return page_steps

    monkeypatch.setattr(retrieval, "survey_of", stopping("survey", retrieval.survey_of, lambda key: True))
    second = stopping("comparison", retrieval.case_of, lambda key: key[3:] == CASES[1])
    monkeypatch.setattr(retrieval, "case_of", second)
    app = opened(retrieval_page, write_checkpoints(tmp_path), monkeypatch, retrieval_checkpoint="reid-full")
    assert not app.exception and not app.error and pressed == ["survey", "comparison"]
    stopped = ["Ranking every image of the gallery, 0 of 1", "Re-ranking for every image of the gallery, 1 of 4"]
    assert [info.value for info in app.info] == [f"Stopped: {what} done." for what in stopped]
    assert "**mAP" not in texts(app) and len(app.dataframe[0].value) == 1
    assert "raises the average precision of" not in texts(app)  # of two cases one is missing
    assert "of the variance" in texts(app)  # the map needs neither
    app.button(key="continue-comparison").click().run()
    assert len(app.dataframe[0].value) == 4 and "**mAP" not in texts(app)
    assert "raises the average precision of" in texts(app)
    app.button(key="continue-survey").click().run()
    assert not app.info and "**mAP" in texts(app) and not app.exception
