"""Where a model computes, and in which precision."""

from __future__ import annotations

import torch

from dcal.errors import DCALError, check_choice


def find_device(name: str) -> torch.device:
    """A device by name; "auto" is the GPU if there is one. Raises DCALError for one that this machine does not have."""
    cuda = torch.cuda.is_available()
    check_choice("device", name.partition(":")[0], ("auto", "cpu", "cuda"))
    if name.startswith("cuda") and not cuda:
        raise DCALError("device is 'cuda', but torch finds no GPU here: use 'cpu' or 'auto'")
    return torch.device(("cuda" if cuda else "cpu") if name == "auto" else name)


def precision(amp: str, device: torch.device) -> torch.dtype:
    """What a forward pass computes in under `amp` ("auto", "bf16", "off"): bfloat16 by autocast, or float32."""
    half = amp == "bf16" or (amp == "auto" and device.type == "cuda")
    return torch.bfloat16 if half else torch.float32
