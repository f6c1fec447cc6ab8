"""How much PWCA's distractor distracts: the share of the attention that leaves a picture for its partner's tokens."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from dcal.model.attention import attend, attention_rows, finish_block, project
from dcal.model.backbone import KeysValues, encode
from dcal.model.dcal import DCAL, check_distractor


@torch.no_grad()
def distractor_shares(
    model: DCAL, images: Float[Tensor, "b 3 img_h img_w"], distractor: Int[Tensor, " b"]
) -> Float[Tensor, " layers"]:
    """For each layer, the part of softmax(Q_i [K_i; K_partner(i)]ᵀ / √d) that falls on the partner's keys, in [0, 1].

    The mean over heads, queries and pictures. Two equal pictures give ½; a distractor that is ignored gives 0. Maps
    are made a block of rows at a time. It costs a forward over pairs, so give it a few pictures of a batch. Measured as
    in evaluation: nothing is drawn at random, no statistics are kept, and the model's mode comes back.
    Raises DCALError for pictures of another size than the model's and for indices that are none.
    """
    check_distractor(distractor, len(images))
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        return _shares(model, images, distractor)
    finally:
        for module in training:
            module.training = True


def _shares(
    model: DCAL, images: Float[Tensor, "b 3 img_h img_w"], partner: Int[Tensor, " b"]
) -> Float[Tensor, " layers"]:
    x, shares = model.embed(images), []
    stream: list[KeysValues] | None = model.shared_stream()
    if stream is not None:
        encode(model.backbone, x, stream=stream)
    for index, block in enumerate(model.backbone.blocks):
        normed = block.norm1(x)
        q, k, v = project(block.attn, normed)
        others = (k, v) if stream is None else stream[index]
        k, v = (torch.cat([own, other[partner]], dim=2) for own, other in zip((k, v), others, strict=True))
        shares.append(_share(q, k))
        x = finish_block(block, x, normed, attend(q, k, v))
    return torch.stack(shares)


def _share(q: Float[Tensor, "b h n d"], joined: Float[Tensor, "b h m d"]) -> Float[Tensor, ""]:
    """The mean over rows of softmax(Q K_cᵀ / √d) of what falls on the second half of the keys."""
    n = q.shape[2]
    return torch.stack([block[..., n:].sum() for _, block in attention_rows(q, joined)]).sum() / q[..., 0].numel()
