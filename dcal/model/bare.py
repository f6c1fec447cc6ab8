"""A backbone as it comes, with its own classifier and none of DCAL's branches, to be inspected without training."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import timm
from timm.data import ImageNetInfo, infer_imagenet_subset

from dcal.model.catalogue import natural_size
from dcal.model.dcal import DCAL, create_model
from dcal.model.weights import read_weights


def bare_model(name: str, weights: str | Path | None = None) -> DCAL:
    """timm's backbone `name` in evaluation mode, at the size and with the preprocessing that it was made for.

    `weights`: a local file or directory (`dcal.model.weights`); by itself timm's own from the hub, which needs the
    network. Where they have a classifier, so does the model, with ImageNet's class names if it has as many classes as
    one of ImageNet's lists; where they have none, it compares images (task "reid", of one class that means nothing).
    Raises DCALError for a backbone that does not fit, CheckpointError for weights that do not.
    """
    size, count = natural_size(name), classes_of(name, weights)
    task = "fgvc" if count else "reid"
    names = imagenet_names(count)
    return create_model(
        name,
        max(count, 1),
        ablation="sa_only",
        img_size=size,
        pretrained=True if weights is None else weights,
        task=task,
        classes=names,
    ).eval()


def classes_of(name: str, weights: str | Path | None) -> int:
    """How many classes the weights' classifier has; 0 if they have none (or one), or if timm has no such model."""
    if not timm.is_model(name):
        return 0
    stated = timm.get_pretrained_cfg(name)
    if weights is None:
        return stated.num_classes
    classifier = stated.classifier if isinstance(stated.classifier, str) else (*(stated.classifier or ()), "head")[0]
    head = read_weights(weights).tensors.get(f"{classifier}.weight")
    return 0 if head is None or len(head) == 1 else len(head)


def imagenet_names(count: int) -> tuple[str, ...]:
    """The names of ImageNet's list of so many classes, in timm's order; none if there is no such list."""
    subset = infer_imagenet_subset({"num_classes": count})
    if subset is None:
        return ()
    info = ImageNetInfo(subset)
    names = [info.index_to_description(index) for index in range(count)]
    twice = {name for name, times in Counter(names).items() if times > 1}  # the bird and the machine "crane"
    return tuple(f"{n} ({info.index_to_label_name(i)})" if n in twice else n for i, n in enumerate(names))
