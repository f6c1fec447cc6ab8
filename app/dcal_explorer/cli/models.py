"""`dcal models`: the models of timm that can serve as backbone."""

from __future__ import annotations

from collections.abc import Sequence

import tyro

from dcal.errors import DCALError
from dcal_explorer.cli.parsing import parsed, show_json

DESCRIPTION = """The models of timm that can serve as --backbone, their image size, and whether timm has weights.

examples:
  dcal models
  dcal models deit
"""


def run(name: str, words: Sequence[str]) -> int:
    return parsed(models, words, name, DESCRIPTION)


def models(word: tyro.conf.Positional[str] = "", pretrained: bool = False, json: bool = False) -> int:
    """List models.

    Args:
        word: only names that contain it
        pretrained: only those that timm has weights for
        json: print one JSON object instead of lines
    """
    import timm

    from dcal.model.backbone import similar_names
    from dcal.model.catalogue import fitting_models, transformers

    available = {name.partition(".")[0] for name in timm.list_models(pretrained=True)}
    found = {name: size for name, size in fitting_models(word) if not pretrained or name in available}
    if not found:
        close = [name for name in similar_names(word, transformers()) if name in dict(fitting_models(name))]
        raise DCALError(
            f"no model of timm that can serve as backbone has {word!r} in its name"
            + (f"; similar names: {', '.join(close)}" if close else ": `dcal models` lists all")
        )
    if json:
        show_json(
            {"models": [{"name": n, "img_size": list(size), "weights": n in available} for n, size in found.items()]}
        )
        return 0
    wide = max(map(len, found))
    for name, (height, width) in found.items():
        print(f"{name:<{wide}}  {height} × {width}  {'weights' if name in available else 'no weights'}")
    return 0
