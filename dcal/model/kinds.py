"""Which of timm's vision transformers can be a backbone, and where they differ before the first block."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import timm
import timm.models.beit
import torch
from jaxtyping import Float
from timm.layers import Attention, AttentionPoolLatent, AttentionRope
from timm.models import VisionTransformer
from timm.models.beit import Beit
from timm.models.eva import Eva, EvaAttention, EvaBlock, EvaBlockPostNorm
from timm.models.naflexvit import NaFlexVit
from timm.models.vision_transformer import Block, ResPostBlock
from timm.models.vision_transformer_relpos import (
    RelPosAttention,
    RelPosBlock,
    ResPostRelPosBlock,
    VisionTransformerRelPos,
)
from torch import Tensor
from torch.overrides import TorchFunctionMode

from dcal.errors import DCALError
from dcal.model.positions import Backbone, grid_of

SUPPORTED = (
    "a timm vision transformer whose blocks attend from all tokens to all (deit, deit3, vit_* with a class token, "
    "average or attention pooling, dinov2, dinov3, eva, eva02, pe, siglip, beit, vit_relpos, naflexvit): `dcal models` "
    "lists them"
)
KINDS = (VisionTransformer, Eva, Beit, VisionTransformerRelPos, NaFlexVit)
BLOCKS = (Block, ResPostBlock, EvaBlock, EvaBlockPostNorm, RelPosBlock, ResPostRelPosBlock, timm.models.beit.Block)
ATTENTIONS = (Attention, AttentionRope, EvaAttention, RelPosAttention, timm.models.beit.Attention)
POOLINGS = ("token", "avg", "map")
INITIALISING = {
    *(Tensor.normal_, Tensor.uniform_, Tensor.erfinv_, Tensor.clamp_, Tensor.zero_, Tensor.fill_),
    *(Tensor.mul_, Tensor.add_, Tensor.div_),
}


@dataclass(frozen=True)
class TokenLayout:
    """Which token is which: `prefix` tokens (a class token first), then rows × cols patches, row by row."""

    prefix: int
    rows: int
    cols: int
    names: tuple[str, ...] = field(default=(), compare=False)  # of the prefix tokens, where they are known

    @property
    def prefix_names(self) -> tuple[str, ...]:
        """ "class", then "distillation" or "register 1", …; "class", "prefix 1", … where a record does not say."""
        return self.names or ("class", *(f"prefix {index}" for index in range(1, self.prefix)))[: self.prefix]

    @property
    def patches(self) -> int:
        return self.rows * self.cols


def check_backbone(model: Backbone, name: str, img_size: tuple[int, int]) -> None:
    """Raises DCALError unless `model` is a vision transformer that DCAL's three attentions can share."""
    if problem := misfit(model):
        raise DCALError(f"{name!r} cannot serve as backbone ({problem}): we need {SUPPORTED}")
    fitting = fitting_size(model, img_size)
    if fitting != tuple(img_size):
        patch = embedding_of(model).patch_size
        raise DCALError(f"image size {img_size} is not a multiple of {name!r}'s patch {patch}; try {fitting}")


def fitting_size(model: Backbone, img_size: tuple[int, int]) -> tuple[int, int]:
    """The nearest size, (height, width) in pixels, that the model's patches divide."""
    height, width = (
        max(patch, round(size / patch) * patch)
        for size, patch in zip(img_size, embedding_of(model).patch_size, strict=True)
    )
    return height, width


class Uninitialised(TorchFunctionMode):
    """Within it nothing is initialised: for models without memory, where it would take nine tenths of the time."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if func in INITIALISING else func(*args, **(kwargs or {}))


def planned(name: str, **options: Any) -> Backbone:
    """timm's model without memory for its weights. Without `options` it has one block, if timm can make it so."""
    with torch.device("meta"), Uninitialised():
        if options:
            return timm.create_model(name, **options)
        try:
            return timm.create_model(name, depth=1)
        except (TypeError, AssertionError):  # no `depth` to give, or one that its other options do not go with
            return timm.create_model(name)


def misfit(model: Backbone) -> str | None:
    """Why a model is no backbone, if it is none."""
    if not isinstance(model, KINDS):
        return f"it is a {type(model).__name__}"
    if not all(type(block) in BLOCKS and type(block.attn) in ATTENTIONS for block in model.blocks):
        kinds = {type(module).__name__ for block in model.blocks for module in (block, getattr(block, "attn", block))}
        return f"its blocks are made of {' and '.join(sorted(kinds))}"
    if model.global_pool not in POOLINGS or not isinstance(
        getattr(model, "attn_pool", None), AttentionPoolLatent | None
    ):
        return f"it pools by {model.global_pool!r}, which is no mean of tokens"
    return None


def embedding_of(model: Backbone) -> Any:
    """The module that makes tokens of patches, as `patch_size` is there."""
    return model.embeds if isinstance(model, NaFlexVit) else model.patch_embed


def fix_image_size(model: Backbone, img_size: tuple[int, int]) -> None:
    """One grid for a NaFlex model, which would take any: (height, width) in pixels. The others were made for it.

    Its learned positions keep the grid that they were trained on; timm resizes them in every forward.
    """
    if isinstance(model, NaFlexVit):
        model.embeds.default_img_size = img_size


def layout_of(model: Backbone) -> TokenLayout:
    rows, cols = grid_of(model)
    tokens: Any = model.embeds if isinstance(model, NaFlexVit) else model
    first = [] if tokens.cls_token is None else ["class"]
    first += ["distillation"] if hasattr(model, "dist_token") else []
    registers = model.num_prefix_tokens - len(first)
    names = (*first, *(f"register {index + 1}" for index in range(registers)))
    return TokenLayout(model.num_prefix_tokens, rows, cols, names)


def embed(model: Backbone, images: Float[Tensor, "b 3 img_h img_w"]) -> Float[Tensor, "b n width"]:
    """The tokens that enter the first block: patches, prefix tokens, positions, and the norm that some models have."""
    if isinstance(model, NaFlexVit):
        return model.norm_pre(model.embeds(images)[0])
    patches = model.patch_embed(images)
    if isinstance(model, VisionTransformer):
        return model.norm_pre(model.patch_drop(model._pos_embed(patches)))
    if isinstance(model, Eva):
        return model.norm_pre(model._pos_embed(patches)[0])
    tokens = patches
    if model.cls_token is not None:
        tokens = torch.cat([model.cls_token.expand(patches.shape[0], -1, -1), patches], 1)
    if not isinstance(model, Beit):
        return tokens
    return model.pos_drop(tokens if model.pos_embed is None else tokens + model.pos_embed)
