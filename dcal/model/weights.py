"""Weights of vision transformers from files of others, under timm's names.

Read: safetensors, and PyTorch's own files (.pth, .pt, .bin, .ckpt) by `weights_only=True`, which loads tensors and
plain values and runs no code. Understood: timm's and DINOv2's own names, transformers' ViT, DeiT, DINOv2 (with or
without registers) and DINOv3 (releases 4 and 5), torchvision's `vit_*`, and DCAL's checkpoints (their backbone), each
also inside `state_dict`, `model_state_dict` and the like, and behind prefixes such as `module.`.
"""

from __future__ import annotations

import argparse
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from dcal.errors import CheckpointError

NESTS = ("state_dict", "model_state_dict", "model", "net", "module", "teacher", "student", "model_ema", "weights")
PREFIXES = ("_orig_mod.", "module.", "model.", "backbone.", "encoder_q.", "student.", "teacher.", "visual.trunk.")
IN_DIRECTORIES = ("model.safetensors", "pytorch_model.bin")
PICKLED = (b"PK\x03\x04", b"\x80")  # how PyTorch's files begin: a zip archive, or a pickle of old

Tensors = dict[str, Tensor]
Rules = tuple[tuple[str, str], ...]


@dataclass(frozen=True, repr=False)
class Weights:
    """Tensors under timm's names, and where they came from."""

    tensors: Tensors
    format: str  # whose names the file had, e.g. "transformers"

    def __repr__(self) -> str:
        return f"Weights({len(self.tensors)} tensors, {self.format})"


def read_weights(path: str | Path) -> Weights:
    """The weights in a file, or in a directory that holds a model as transformers or DCAL save it.

    Raises CheckpointError if there is none, if it is damaged or holds more than plain values, and for names that are
    none of those above; the message says which.
    """
    place = Path(path)
    if place.is_dir():
        found = [place / name for name in IN_DIRECTORIES if (place / name).is_file()]
        if not found:
            raise CheckpointError(f"no weights in {place}: it holds none of {', '.join(IN_DIRECTORIES)}")
        place = found[0]
    tensors = unwrapped(_read(place), place)
    for name, marker, convert in FORMATS:
        if any(re.match(marker, key) for key in tensors):
            return Weights(convert(tensors), name)
    known = ", ".join(dict.fromkeys(name for name, _, _ in FORMATS))
    raise CheckpointError(
        f"the {len(tensors)} tensors in {place} have names of none of the formats read here ({known}): {_some(tensors)}"
    )


def _read(path: Path) -> Any:
    if not path.is_file():
        raise CheckpointError(f"no weights at {path}: give an existing file (.safetensors, .pth, .pt or .bin)")
    with open(path, "rb") as file:
        start = file.read(4)
    if not start.startswith(PICKLED):
        return load_file(check_safetensors(path))
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # a training script's options: plain values
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{path} holds more than tensors and plain values, which could run code, so it is not loaded ({reason}); "
            "where you trust it, save its state_dict() alone"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path} is not a complete PyTorch file ({error})") from error


def check_safetensors(path: Path) -> Path:
    """`path` itself if it is a readable safetensors file, else a CheckpointError with what it is instead."""
    if not path.is_file():
        raise CheckpointError(f"no weights at {path}: give an existing safetensors file")
    try:
        with safe_open(path, framework="pt"):
            return path
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is not a complete safetensors file ({error}); a pickled file is not read in its place"
        ) from error


def unwrapped(found: Any, path: Path) -> Tensors:
    """The tensors of a model in what a file holds: out of their nest, without what wraps every name.

    Of several models the first of `NESTS` is taken, and of a model that is one part under a prefix, that part alone.
    """
    while isinstance(found, Mapping) and not any(isinstance(value, Tensor) for value in found.values()):
        inner = [found[name] for name in NESTS if isinstance(found.get(name), Mapping)]
        if not inner:
            raise CheckpointError(f"{path} holds no model's tensors: its entries are {_some(found)}")
        found = inner[0]
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{path} holds a {type(found).__name__}, not a model's tensors by name")
    tensors = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
    while part := next(filter(None, (_behind(prefix, tensors) for prefix in PREFIXES)), None):
        tensors = part
    return tensors


def _behind(prefix: str, tensors: Tensors) -> Tensors | None:
    """What stands behind `prefix`, if that is a model by itself."""
    part = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    others = [name for name in tensors if not name.startswith(prefix)]
    if any(name.startswith("embeddings.") for name in others):  # transformers' DINOv3 has its blocks alone behind one
        return None
    whole = not others or any(re.match(marker, name) for _, marker, _ in FORMATS for name in part)
    return part if part and whole else None


# -- names --


def renamed(tensors: Tensors, rules: Rules, dropped: str) -> Tensors:
    """Every name after all `rules` (pattern, replacement) in their order; those that match `dropped` are left out."""
    result = {}
    for name, tensor in tensors.items():
        if re.match(dropped, name):
            continue
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        result[name] = tensor
    return result


TORCHVISION: Rules = (
    (r"^class_token$", "cls_token"),
    (r"^conv_proj\.", "patch_embed.proj."),
    (r"^encoder\.pos_embedding$", "pos_embed"),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.", r"blocks.\1."),
    (r"\.ln_([12])\.", r".norm\1."),
    (r"\.self_attention\.in_proj_(weight|bias)$", r".attn.qkv.\1"),
    (r"\.self_attention\.out_proj\.", ".attn.proj."),
    (r"\.mlp\.(?:0|linear_1)\.", ".mlp.fc1."),
    (r"\.mlp\.(?:3|linear_2)\.", ".mlp.fc2."),
    (r"^encoder\.ln\.", "norm."),
    (r"^heads\.head\.", "head."),
)
TRANSFORMERS: Rules = (
    (r"^(?:vit|deit|dinov2|dinov2_with_registers)\.", ""),
    (r"^embeddings\.(cls_token|register_tokens)$", r"\1"),
    (r"^embeddings\.distillation_token$", "dist_token"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^(?:encoder\.)?layers?\.(\d+)\.", r"blocks.\1."),
    (r"\.attention\.(?:attention\.)?(query|key|value)\.", r".attn.\1."),
    (r"\.attention\.([qkv])_proj\.", r".attn.\1."),
    (r"\.attention\.(?:output\.dense|o_proj)\.", ".attn.proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma"),
    (r"^layernorm\.", "norm."),
    (r"^(?:cls_)?classifier\.", "head."),
    (r"^distillation_classifier\.", "head_dist."),
)
DINOV3: Rules = (
    (r"^(?:dinov3_vit|model)\.", ""),
    (r"^model\.", ""),
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.register_tokens$", "reg_token"),
    (r"^embeddings\.patch_embeddings\.", "patch_embed.proj."),
    (r"^layer\.(\d+)\.", r"blocks.\1."),
    (r"\.attention\.([qkv])_proj\.", r".attn.\1."),
    (r"\.attention\.o_proj\.", ".attn.proj."),
    (r"\.layer_scale([12])\.lambda1$", r".gamma_\1"),
    (r"\.mlp\.down_proj\.", ".mlp.fc2."),
)
UNUSED = r".*(?:mask_token$|(?:^|\.)pooler\.|^decoder\.)"  # of other tasks


def from_torchvision(tensors: Tensors) -> Tensors:
    return renamed(tensors, TORCHVISION, dropped=r"^heads\.pre_logits\.")


def from_transformers(tensors: Tensors) -> Tensors:
    """timm has Q, K and V in one projection; a classifier of another width than the class token's is left out."""
    result = renamed(tensors, TRANSFORMERS, UNUSED)
    for part in [name for name in result if re.search(r"\.attn\.(?:query|q)\.", name)]:
        names = [re.sub(r"\.attn\.(?:query|q)\.", f".attn.{kind}.", part) for kind in _KINDS[".query." in part]]
        if all(name in result for name in names):
            joined = torch.cat([result.pop(name) for name in names])
            result[re.sub(r"\.attn\.(?:query|q)\.", ".attn.qkv.", part)] = joined
    if "head.weight" in result and result["head.weight"].shape[1] != result["cls_token"].shape[-1]:
        result = {name: tensor for name, tensor in result.items() if not name.startswith("head.")}
    return with_registers(result)


def from_transformers_dinov3(tensors: Tensors) -> Tensors:
    """timm's Eva has Q, K and V in one projection, their biases apart, and none where all are 0."""
    result = renamed(tensors, DINOV3, UNUSED)
    gated = any(name.endswith(".mlp.gate_proj.weight") for name in result)
    names = (
        {".mlp.up_proj.": ".mlp.fc1_x.", ".mlp.gate_proj.": ".mlp.fc1_g."} if gated else {".mlp.up_proj.": ".mlp.fc1."}
    )
    for old, new in names.items():
        result = {name.replace(old, new): tensor for name, tensor in result.items()}
    for name in [name for name in result if name.endswith(".attn.q.weight")]:
        block = name.removesuffix("q.weight")
        result[f"{block}qkv.weight"] = torch.cat([result.pop(f"{block}{kind}.weight") for kind in "qkv"])
    biases = {kind: [name for name in result if name.endswith(f".attn.{kind}.bias")] for kind in "qkv"}
    held = {name: result.pop(name) for names in biases.values() for name in names}
    if any(held[name].any() for name in (*biases["q"], *biases["v"])):
        result |= {re.sub(r"\.([qv])\.bias$", r".\1_bias", name): held[name] for name in (*biases["q"], *biases["v"])}
    return result


_KINDS = {True: ("query", "key", "value"), False: ("q", "k", "v")}


def with_registers(tensors: Tensors) -> Tensors:
    """DINOv2's names as timm has them: with registers, the class token's position is part of the token."""
    result = {re.sub(r"^blocks\.\d+\.(\d+)\.", r"blocks.\1.", name): t for name, t in tensors.items()}  # in chunks
    result.pop("mask_token", None)
    if "register_tokens" in result:
        result["reg_token"] = result.pop("register_tokens")
        result["cls_token"] = result["cls_token"] + result["pos_embed"][:, :1]
        result["pos_embed"] = result["pos_embed"][:, 1:]
    return result


# The formats: name, a name that only it has, and the way to timm's names.
FORMATS: tuple[tuple[str, str, Callable[[Tensors], Tensors]], ...] = (
    ("timm", r"blocks\.\d+\.(?:\d+\.)?attn\.(?:qkv|q_proj)\.weight$", with_registers),
    ("torchvision", r"encoder\.layers\.encoder_layer_\d+\.self_attention\.in_proj_weight$", from_torchvision),
    ("transformers", r"(?:\w+\.)?embeddings\.patch_embeddings\.weight$", from_transformers_dinov3),
    (
        "transformers",
        r"(?:\w+\.)?(?:encoder\.)?layers?\.\d+\.attention\.(?:attention\.query|q_proj)\.weight$",
        from_transformers,
    ),
)


def _some(names: Mapping[str, Any]) -> str:
    shown = list(map(str, names))
    return ", ".join(shown[:4]) + (", …" if len(shown) > 4 else "")
