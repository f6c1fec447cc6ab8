"""What gradio keeps of every page that was opened, made small; and a library that it would load and nobody needs.

For links that restore a whole page, which this one has not, gradio 6.31 notes every component's settings and newest
value for each of the last 10,000 pages: 90 ms of the event loop at a page's first call, and 0.4 MB, more with what the
page shows.
"""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

from gradio import utils
from gradio.state_holder import SessionState

MOST_PAGES = 1000  # whose states are kept; a page that comes back after so many others inspects its image anew


def keep_small_sessions() -> None:
    """Have gradio keep of a page its states, and the components that differ from the first page's; nothing else."""
    original = SessionState.__init__

    def small(session: SessionState, blocks: Any) -> None:
        original(session, SimpleNamespace(default_config=blocks.default_config, blocks={}))  # type: ignore[arg-type]
        session.blocks_config.config_for_block = _no_settings  # type: ignore[assignment, method-assign]

    SessionState.__init__ = small  # type: ignore[assignment, method-assign]


def _no_settings(*_: Any) -> dict[str, Any]:
    return {}


def leave_matplotlib_out() -> None:
    """Have gradio call functions without setting matplotlib's backend, as none of ours plots.

    The first call would else import matplotlib, which takes more than a second of the event loop.
    """
    utils.MatplotlibBackendMananger = nullcontext  # type: ignore[assignment, misc]
