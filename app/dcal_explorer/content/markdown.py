"""Names from files in Markdown sentences: they are shown as they are, and are never markup."""

from __future__ import annotations

import re


def plain(text: str) -> str:
    """`text` for a Markdown sentence, shown as it is."""
    return re.sub(r"([\\`*_{}\[\]<>|#~$&])", r"\\\1", text)


def message(text: str) -> str:
    """An error for Markdown: its `code` stays, and no name in it becomes a link, an image, a formula or HTML."""
    return re.sub(r"([\[\]<>$&])", r"\\\1", text)
