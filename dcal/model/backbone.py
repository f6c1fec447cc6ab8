"""The backbone is timm's model, never a copy: how it is made, and how tokens pass through its blocks."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from jaxtyping import Float
from safetensors import safe_open
from torch import Tensor

from dcal.errors import CheckpointError, DCALError
from dcal.model.attention import (
    Attended,
    KeysValues,
    attend,
    attend_in,
    attend_keeping_mean,
    dropout_of,
    project,
    run_blocks,
)
from dcal.model.catalogue import transformers
from dcal.model.kinds import SUPPORTED, check_backbone, fix_image_size, planned
from dcal.model.positions import Backbone, PlacedBlock, placed_blocks
from dcal.model.rollout import HeadMean, Layer, QueriesKeys
from dcal.model.weights import read_weights
from dcal.preprocess import Preprocess

# Up to this many tokens per unit of width, head-means (n² a layer) are kept instead of queries and keys (2·n·width):
# more memory from n = 2·width on, but they come for free with the output, where recomputing costs up to a third of a
# forward.
MEANS_UP_TO = 6


def create_backbone(
    name: str,
    num_classes: int,
    img_size: tuple[int, int],
    pretrained: bool | str | Path,
    drop_path: float = 0.0,
    num_layers: int | None = None,
) -> Backbone:
    """timm's model `name` for images of `img_size` (height, width), position embeddings resized to fit.

    `pretrained`: False, True (timm's hub weights: needs the network), or a local file or directory in one of the
    formats of `dcal.model.weights`, whose classifier is left out unless it has `num_classes` rows. `num_layers`: only
    so many of the first blocks are kept, and the final norm stands behind the last of them. Raises DCALError for
    an architecture or a size that does not fit, CheckpointError for weights that cannot be had or do not fit.
    """
    if not timm.is_model(name):
        close = ", ".join(similar_names(name, transformers())) or "none"
        raise DCALError(f"timm has no model {name!r}; similar names: {close}. We need {SUPPORTED}")
    options = {"num_classes": num_classes, "img_size": img_size}
    try:
        plan = planned(name, **options)  # architecture and size are judged before any weights are made, read or fetched
    except Exception as error:  # e.g. a convolutional network has no img_size
        raise DCALError(f"{name!r} cannot serve as backbone ({error}): we need {SUPPORTED}") from error
    check_backbone(plan, name, img_size)
    if num_layers is not None and not 1 <= num_layers <= len(plan.blocks):
        raise DCALError(f"num_sa_layers must lie between 1 and {name!r}'s {len(plan.blocks)} layers, got {num_layers}")
    overlay = None if isinstance(pretrained, bool) else local_weights(Path(pretrained), plan)
    options = {**options, "pretrained": bool(pretrained), "pretrained_cfg_overlay": overlay}
    try:
        model = timm.create_model(name, **options, drop_path_rate=drop_path)
    except Exception as error:
        if not pretrained:
            raise
        source = pretrained if overlay else "timm's hub (needs the network; or give a local file)"
        raise CheckpointError(f"no weights for {name!r} from {source}: {error}") from error
    if overlay is not None:
        model.pretrained_cfg["state_dict"] = None  # else the model would hold the weights twice
    elif pretrained:
        check_finite(model.state_dict(), f"timm's weights for {name!r}")
    model.blocks = model.blocks[:num_layers]
    fix_image_size(model, img_size)
    return model


def similar_names(name: str, known: Sequence[str], count: int = 5) -> list[str]:
    """The names that begin like `name`, shortest first, then those that are spelled nearly like it.

    Where there is none, the names of which a beginning or a part between underscores is spelled nearly like it.
    """
    by_length = sorted(known, key=lambda other: (len(other), other))
    longer = [other for other in by_length if name and other.startswith(name)]
    found = [*longer, *difflib.get_close_matches(name, known, n=count)]
    if name and not found:
        parts = {part for other in known for part in (other[: len(name)], *other.split("_"))}
        alike = difflib.get_close_matches(name, parts, n=1)
        found = [other for other in by_length if alike and alike[0] in other]
    return list(dict.fromkeys(found))[:count]


def local_weights(path: Path, model: Backbone) -> dict[str, Any]:
    """timm's options for loading the weights at `path` into a model like `model`; the classifier only if its rows fit.

    Raises CheckpointError unless they are every tensor of the model, classifiers apart, and no others: where the
    classifier does not fit, timm itself would leave what is missing as it was initialised, and only log it.
    """
    weights = read_weights(path)
    tensors = weights.tensors
    stated = model.pretrained_cfg["classifier"]
    classifiers = (stated,) if isinstance(stated, str) else tuple(stated)
    exempt = {f"{classifier}.{part}" for classifier in classifiers for part in ("weight", "bias")}
    wanted = model.state_dict().keys() - exempt
    missing, extra = sorted(wanted - tensors.keys()), sorted(tensors.keys() - wanted - exempt)
    if missing or extra:
        raise CheckpointError(
            f"{path} (recognised as {weights.format}) does not fit {model.pretrained_cfg['architecture']!r} under "
            f"timm's names: {len(missing)} tensors missing {missing[:3]}, {len(extra)} unexpected {extra[:3]}"
        )
    check_finite(tensors, str(path))
    head = tensors.get(f"{classifiers[0]}.weight")
    return {"state_dict": tensors, "custom_load": False, "num_classes": 0 if head is None else len(head)}


def stored_shapes(path: Path) -> dict[str, list[int]]:
    """The shape of every tensor in a safetensors file, of which only the header is read."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 (not a mapping)


def check_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    """Raises CheckpointError if a tensor holds NaN or infinity: every answer would be NaN."""
    damaged = {name: int((~t.isfinite()).sum()) for name, t in tensors.items() if not t.isfinite().all()}
    if damaged:
        shown = ", ".join(f"{name}: {count}" for name, count in list(damaged.items())[:3])
        raise CheckpointError(
            f"{source} holds NaN or infinite values in {len(damaged)} tensors ({shown}): take the weights of an "
            "earlier step or another file"
        )


def preprocess_of(model: Backbone, img_size: tuple[int, int]) -> Preprocess:
    """The preprocessing that timm states for these weights, as ours."""
    cfg = model.pretrained_cfg or {}
    default = Preprocess()
    return Preprocess(
        size=img_size,
        fit="crop",
        crop_fraction=float(cfg.get("crop_pct", default.crop_fraction)),
        mean=tuple(cfg.get("mean", default.mean)),
        std=tuple(cfg.get("std", default.std)),
        interpolation=cfg.get("interpolation", default.interpolation),
    )


def layer_tokens(model: Backbone, x: Float[Tensor, "b n width"]) -> Iterator[Float[Tensor, "b n width"]]:
    """The embedding, then the tokens after every block. Attention runs fused."""

    yield x
    for placed in placed_blocks(model):
        x = run_blocks((placed,), x, attend_in)
        yield x


def encode(
    model: Backbone,
    x: Float[Tensor, "b n width"],
    keep_rollout: bool = False,
    record: list[QueriesKeys] | None = None,
    stream: list[KeysValues] | None = None,
) -> tuple[Float[Tensor, "b n width"], list[Layer]]:
    """(the last block's tokens, one `Layer` per block if `keep_rollout`, else none and every attention runs fused).

    Layers are what the rollout needs: with gradients, the queries and keys that autograd holds anyway; without,
    head-means on the way (of the last layer the class row alone is wanted, so there it is queries and keys). A `record`
    given gets every block's queries and keys appended, as copies of their own, from which any map can be had later; a
    `stream` given gets every block's keys and values, with their gradients.
    """
    layers: list[Layer] = []
    (b, n, width), depth = x.shape, len(model.blocks)
    means = keep_rollout and not torch.is_grad_enabled() and n <= MEANS_UP_TO * width
    matrices: list[Tensor] = []  # views of one piece of memory, which the C library reuses; many it would return

    def self_attention(placed: PlacedBlock, normed: Float[Tensor, "b n width"]) -> Attended:
        attention, bias = placed.block.attn, placed.positions.bias
        q, k, v = project(attention, normed, placed.positions)
        detached = bias and bias.detach()
        if record is not None:
            record.append(QueriesKeys(q.detach().contiguous(), k.detach().contiguous(), detached))
        if stream is not None:
            stream.append((k, v))
        if means and len(layers) < depth - 1:
            if not matrices and not torch.compiler.is_exporting():
                matrices.extend(q.new_empty((depth - 1, b, n, n)))
            own = matrices[len(layers)] if matrices else None
            attended, matrix = attend_keeping_mean(q, k, v, own, bias)
            layers.append(HeadMean(matrix))
            return attended
        if keep_rollout:
            layers.append(QueriesKeys(q.detach(), k.detach(), detached))
        return attend(q, k, v, dropout_of(attention), bias)

    return run_blocks(placed_blocks(model), x, self_attention), layers
