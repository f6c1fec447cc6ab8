"""Long work of a page: parts are computed once, stopping ends it and keeps what is done, going on finishes it."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from dcal_explorer.dashboard import work


def page() -> None:
    import streamlit as st

    from dcal.errors import DCALError
    from dcal_explorer.dashboard import work
    from dcal_explorer.dashboard.errors import shows_errors

    def part(number: int) -> work.Steps[int]:
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


def test_the_oldest_result_is_dropped() -> None:
    kept = work.Results(most=2)
    for key in "abc":
        kept.keep(key, key.upper())
    assert "a" not in kept and kept.get("b") == "B" and kept.get("c") == "C" and kept.get("a") is None
