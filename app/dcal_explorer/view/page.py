"""The view as one HTML file that needs no server: image, maps and chosen layers' attention are in it."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from dcal_explorer.view.assets import body, stylesheet

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: {scheme}; }}
body {{ margin: 0 auto; padding: 12px; max-width: 1200px; background: Canvas; color: CanvasText; }}
{style}
</style>
</head>
<body>
<main id="view"></main>
<script type="application/json" id="payload">{payload}</script>
<script type="module">
{body}
globalThis.viewParts = {{ farOut, mount, writer }};
globalThis.view = mount(document.getElementById("view"), JSON.parse(document.getElementById("payload").textContent), {{
  fetch: globalThis.answerView,
}});
</script>
</body>
</html>
"""


def standalone(payload: dict[str, Any], scheme: str = "light dark") -> str:
    """The HTML of a page that shows `payload` (see payload.py)."""
    return PAGE.format(
        title=escape(f"Attention maps of {payload['title']}"),
        scheme=scheme,
        style=stylesheet(),
        payload=json.dumps(payload).replace("<", "\\u003c"),
        body=body(),
    )
