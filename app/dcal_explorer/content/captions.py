"""What the pages say about an image and a checkpoint: a sentence for every map, and the predictions as bars."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dcal import Inspection, ModelConfig
from dcal.explain.tokens import Outliers
from dcal_explorer.content.checkpoints import SideFile
from dcal_explorer.content.markdown import plain
from dcal_explorer.content.numbers import percent, seconds, share, similarity, whole_percent

EMPTY = "Upload, paste or drop an image, or click a sample."
NO_GLCA = (
    "This checkpoint was trained without global-local cross-attention (GLCA): it has no GLCA map and selects no "
    "patches. Choose a checkpoint with the branch."
)
NO_BRANCH = (
    "This is a backbone without DCAL's branches: it has no GLCA map and selects no patches. `dcal train --pretrained` "
    "trains them on it."
)
ATTENTIONS = (
    "**SA** is the backbone's self-attention. **GLCA**, global-local cross-attention, lets the most-attended patches "
    "attend to the whole image again. **PWCA**, pair-wise cross-attention, is used in training only and has no map."
)
NO_HEAD = "This backbone has no classifier, so it predicts no class. Its maps are those of its own self-attention."
FUSED = {"mean": "heads averaged", "max": "maximum over heads", "min": "minimum over heads"}
GLCA_KINDS = {
    "input": "Carried to the input",
    "block": "In the GLCA block",
    "local": "Selected patches",
}
GLCA_MAPS = {
    "input": (
        "What the class token attends to in the GLCA block, carried down through the rollout to the image's patches."
    ),
    "block": "What the class token attends to in the GLCA block, among the last layer's tokens.",
    "local": "What the selected patches attend to in the GLCA block, averaged over them.",
}
NO_CLASSES = (
    "This checkpoint compares images; it predicts no class. Re-identify shows which images of a gallery it matches, "
    "and why."
)
ENLARGE = "*Click a layer to show it above.*"
SA = "**SA.** How much each patch has contributed to the class token after the last layer (attention rollout)."
DIFFERENCE = "**GLCA − SA.** Orange where GLCA attends more, blue where SA does; white where they agree."
ROLLOUT = (
    "The rollout shows where information has flowed, whatever the class; the relevance of a class is the better "
    "evidence for a prediction."
)


def summary(seen: Inspection, checkpoint: str, metrics: SideFile) -> str:
    """Which model was applied to what, how long it took, and what the user should know about the image."""
    config, (height, width) = seen.config, seen.config.img_size
    parts = [
        f"`{config.backbone}`",
        f"{width}×{height} px",
        f"{seen.layout.rows}×{seen.layout.cols} patches",
        f"{seen.num_layers} layers of {seen.num_heads} heads",
    ]
    parts += accuracy(metrics.values)
    parts.append(f"computed in {seconds(sum(seen.timings.values()))}")
    head, lines = f"**{plain(checkpoint)}** · {' · '.join(parts)}", [*known_classes(seen.config), *seen.notes]
    if metrics.note:
        lines.append(metrics.note)
    left, top, right, bottom = seen.box
    if (right - left) * (bottom - top) < 0.999 * seen.image.shape[0] * seen.image.shape[1]:
        lines.append("The dimmed margin is outside the model's input.")
    return "\n\n".join([head, " ".join(lines)] if lines else [head])


def names_classes(config: ModelConfig) -> bool:
    """Whether a checkpoint predicts a class. A re-identification model has a classifier for training only."""
    return config.task == "fgvc"


def no_classes(config: ModelConfig) -> str:
    """Why a model predicts no class: it compares images, or it is a backbone without a head (of one class, then)."""
    return NO_HEAD if config.num_classes == 1 else NO_CLASSES


def no_glca(bare: bool) -> str:
    """Why there is no GLCA map: a checkpoint trained without, or a bare backbone."""
    return NO_BRANCH if bare else NO_GLCA


def read(seen: Inspection, text: str) -> str:
    """`text` about a record of a model that reads no class token, with what it pools in its place."""
    return text if seen.pooled is None else text.replace("the class token", "what the model pools")


def known_classes(config: ModelConfig) -> list[str]:
    """How many classes a classifier chooses from: an image of anything else still gets one of them."""
    if not names_classes(config):
        return [no_classes(config)]
    return [f"It knows {config.num_classes} classes; an image of anything else is still assigned to one of them."]


def accuracy(metrics: Mapping[str, Any]) -> list[str]:
    """The checkpoint's test accuracy, or its mAP, if that was measured."""
    figures = {"top1": "{} correct on test images", "mAP": "mAP {} on test images, standard protocol"}
    return [text.format(percent(metrics[key])) for key, text in figures.items() if isinstance(metrics.get(key), float)]


def attentions(config: ModelConfig) -> str:
    """The attentions that a checkpoint was trained with, by the paper's names: "SA + GLCA"."""
    return " + ".join(branch.upper() for branch in config.branches)


def about(config: ModelConfig, checkpoint: str, metrics: SideFile) -> str:
    """The head of a column, as HTML: a checkpoint's ablation by the paper's names, its own name and its accuracy."""
    line = " · ".join([f"<code>{html.escape(checkpoint)}</code>", *accuracy(metrics.values)])
    note = f"<p>{html.escape(metrics.note)}</p>" if metrics.note else ""
    return f"<h3>{attentions(config)}</h3><p>{line}</p>{note}"


def verdict(seen: Sequence[Inspection]) -> str:
    """Whether several checkpoints predict the same class; those that predict none are left out."""
    seen = [record for record in seen if names_classes(record.config)]
    if not seen:
        return ""
    predicted = Counter(readable(record.top(1)[0][0]) for record in seen)
    if len(predicted) > 1:
        votes = ", ".join(f"**{plain(name)}** ({count})" for name, count in predicted.most_common())
        return f"The checkpoints disagree: {votes}."
    probabilities = sorted(record.top(1)[0][1] for record in seen)
    span = " to ".join(dict.fromkeys(percent(p) for p in (probabilities[0], probabilities[-1])))
    return (
        f"{'All checkpoints predict' if len(seen) > 1 else 'Prediction:'} **{plain(next(iter(predicted)))}** ({span})."
    )


def top(seen: Inspection, k: int = 5) -> dict[str, dict[str, float]]:
    """The k most probable classes of each branch there is: {"SA + GLCA" | "SA" | "GLCA": {class: probability}}.

    Empty for a model that predicts no class.
    """
    if not names_classes(seen.config):
        return {}
    branches = {"SA": "sa"} if seen.glca_probabilities is None else {"SA + GLCA": "fused", "SA": "sa", "GLCA": "glca"}
    return {name: dict(seen.top(k, branch)) for name, branch in branches.items()}


def bars(predictions: dict[str, dict[str, float]], clickable: bool = False) -> str:
    """Predictions as HTML (styled by bars.css): per branch a short list, each class with a bar and its probability.

    `clickable`: each is a button whose `data-card` is the class (see cards.CLICK).
    """
    if not predictions:
        return f'<p class="alone">{NO_CLASSES}</p>'
    branches = "".join(_branch(name, found, clickable) for name, found in predictions.items())
    return f'<div class="bars">{branches}</div>'


def _branch(name: str, found: dict[str, float], clickable: bool) -> str:
    kind = {"SA": "sa", "GLCA": "glca"}.get(name, "both")
    rows = "".join(_bar(*item, clickable) for item in found.items())
    return f'<section class="branch {kind}"><h4>{name}</h4><ol>{rows}</ol></section>'


def _bar(name: str, probability: float, clickable: bool) -> str:
    shown = html.escape(readable(name))
    if clickable:
        label = f'data-card="{html.escape(name)}" title="Show the evidence for {shown}"'
        text = f"<span>{shown}</span><b>{percent(probability)}</b>"
        return f'<li style="--p:{probability:.2%}"><button type="button" {label}>{text}</button></li>'
    return f'<li style="--p:{probability:.2%}"><span title="{shown}">{shown}</span><b>{percent(probability)}</b></li>'


def columns(seen: Inspection, k: int = 5) -> str:
    """The k most probable classes as one compact list of buttons (HTML): each branch's probability is a column.

    A button's `data-card` is its class (see cards.CLICK). A class stays in its place when only R changes little.
    """
    if not names_classes(seen.config):
        return f'<p class="alone">{NO_CLASSES}</p>'
    branches = (
        {"fused": "SA + GLCA", "sa": "SA", "glca": "GLCA"} if seen.glca_probabilities is not None else {"sa": "SA"}
    )
    found = {"fused": seen.probabilities, "sa": seen.sa_probabilities, "glca": seen.glca_probabilities}
    head = "".join(f'<span class="{branch}">{name}</span>' for branch, name in branches.items())
    rows = []
    for name, _ in seen.top(k):
        index, shown = seen.classes.index(name), html.escape(readable(name))
        values = {branch: float(found[branch][index]) for branch in branches}  # type: ignore[index]
        numbers = "".join(f'<b class="{b}" style="--p:{p:.2%}">{percent(p)}</b>' for b, p in values.items())
        button = f'<button type="button" data-card="{html.escape(name)}" title="Show the evidence for {shown}">'
        rows.append(f"<li>{button}<span>{shown}</span>{numbers}</button></li>")
    return (
        f'<div class="bars columns" style="--columns:{len(branches)}">'
        f'<div class="head"><span>Prediction</span>{head}</div>'
        f"<ol>{''.join(rows)}</ol></div>"
    )


def selected(seen: Inspection, before: Inspection) -> str:
    """How many patches R selects and whether the prediction moved, in a line for the place beside R."""
    assert seen.selected is not None
    count = f"**{len(seen.selected)} of {seen.layout.patches} patches.**"
    if seen.top_ratio == before.top_ratio:
        return f"{count} As trained. Move R to see whether the prediction does."
    trap = " This checkpoint predicts from the class token alone, which R does not affect."
    return f"{count} {_moved(seen, before)}{trap if seen.config.readout == 'class' else ''}"


def readable(name: str) -> str:
    """CUB's "001.Black_footed_Albatross" as "Black footed Albatross"; other names stay, but for underscores."""
    number, dot, rest = name.partition(".")
    return (rest if dot and number.isdigit() and rest else name).replace("_", " ")


def choices(seen: Inspection) -> list[tuple[str, str]]:
    """Class names to choose from: (as shown, as the checkpoint has it); none where it predicts none."""
    if not names_classes(seen.config):
        return []
    return [(readable(name), name) for name in seen.classes]


def first_choice(seen: Inspection) -> str | None:
    """The most probable class; None where none is predicted."""
    return seen.top(1)[0][0] if names_classes(seen.config) else None


def layer(seen: Inspection, number: int, map: np.ndarray, fusion: str, discard: float) -> str:
    dropped = f", the weakest {whole_percent(discard)} of each row discarded" if discard else ""
    return read(
        seen,
        f"**Layer {number} of {seen.num_layers}.** How much each patch has contributed to the class token by this "
        f"layer (attention rollout, {FUSED[fusion]}{dropped}). All patches together: {share(float(map.sum()))}; the "
        f"strongest: {share(float(map.max()))}. *Click a patch to see what it attends to.*",
    )


def layers(seen: Inspection) -> str:
    return f"The rollout after each of the {seen.num_layers} layers, on one scale."


def rollout_note(seen: Inspection) -> str:
    """What the rollout is and is not; only where there is a class to explain."""
    return ROLLOUT if names_classes(seen.config) else ""


def heads(seen: Inspection, number: int) -> str:
    return read(
        seen,
        f"**Layer {number}, {seen.num_heads} heads.** What the class token attends to in this layer alone, one image "
        "per head, on one scale.",
    )


def token(seen: Inspection, row: int, column: int, number: int, head: int, map: np.ndarray) -> str:
    of = f"head {head}" if head else "mean of all heads"
    names = seen.layout.prefix_names
    others = "the class token" if names[:1] == ("class",) else "the registers"
    rest = f"; the rest goes to {others}{' and the other prefix tokens' if names[1:] else ''}" if names else ""
    return (
        f"**Row {row}, column {column}, layer {number}, {of}.** What the outlined patch attends to. All patches "
        f"together receive {share(float(map.sum()))} of its attention, the strongest {share(float(map.max()))}{rest}. "
        "*Click another patch.*"
    )


def selection(seen: Inspection, before: Inspection) -> str:
    """How many patches R selects, and how that changes the predictions at the checkpoint's own R."""
    assert seen.selected is not None
    trap = " This checkpoint predicts from the class token alone, which R does not affect."
    return (
        f"**R = {whole_percent(seen.top_ratio)}: {len(seen.selected)} of {seen.layout.patches} patches.** The outlined "
        "patches are the strongest in SA's map. Only these patches and the class token are queries of the GLCA block. "
        f"{_moved(seen, before)}{trap if seen.config.readout == 'class' else ''}{_moves(seen, before)}"
    )


def _moved(seen: Inspection, before: Inspection) -> str:
    """How another R changed the result, in a sentence: the class, or, where there is none, the embedding."""
    if not names_classes(seen.config):
        return (
            f"The embedding's cosine with the one at R = {whole_percent(before.top_ratio)}, as trained, is "
            f"{similarity(seen.similarity(before))}."
        )
    name, now = seen.top(1)[0]
    old_name, old = before.top(1)[0]
    if name == old_name:
        return f"The prediction stays **{plain(readable(name))}** ({percent(old)} → {percent(now)})."
    return f"The prediction moves from **{plain(readable(old_name))}** to **{plain(readable(name))}** ({percent(now)})."


def _moves(seen: Inspection, before: Inspection) -> str:
    """The same branch by branch, as a table; nothing where no class is predicted."""
    if not names_classes(seen.config):
        return ""
    rows = "\n".join(
        f"| {label} | {_first(before, branch)} | {_first(seen, branch)} |"
        for label, branch in (("SA", "sa"), ("GLCA", "glca"), ("SA + GLCA", "fused"))
    )
    heads = f"| | R = {whole_percent(before.top_ratio)}, as trained | R = {whole_percent(seen.top_ratio)} |"
    return f"\n\n{heads}\n|---|---|---|\n{rows}"


def _first(seen: Inspection, branch: str) -> str:
    name, probability = seen.top(1, branch)[0]
    return f"{plain(readable(name))} {percent(probability)}"


def evidence(seen: Inspection, target: int) -> tuple[str, str]:
    """What the relevance and the gradient-weighted rollout of a class show, in this order."""
    name = plain(readable(seen.classes[target]))
    return (
        f"**Relevance for {name}** (Chefer et al., 2021). How much each patch adds to SA's score for this class.",
        f"**Gradient-weighted rollout for {name}.** The rollout of the attention that raises SA's score for this "
        "class.",
    )


def image_title(path: Path | None) -> str:
    """What the pages call an image: its file's name in words."""
    return "the image" if path is None else path.stem.replace("-", " ")


def contrast(seen: Inspection, target: int, rival: int) -> str:
    """What the contrast of two classes shows."""
    names = [plain(readable(seen.classes[index])) for index in (target, rival)]
    return (
        f"**{names[0]} rather than {names[1]}.** Patches where more attention would raise the first class's score "
        "above the second's; evidence that speaks for both cancels."
    )


def token_sizes(number: int, map: np.ndarray, found: Outliers) -> str:
    """How long the patches' tokens are after a layer, and which are outliers."""
    named = f" Outliers: {found}." if found.patches else " No patch is an outlier."
    return f"**Token size, layer {number}.** {float(map.min()):.1f} to {float(map.max()):.1f}.{named}"


def similar_patches(row: int, column: int, number: int, map: np.ndarray) -> str:
    return (
        f"**Similarity to row {row}, column {column}, layer {number}.** The cosine of that patch's feature with every "
        f"patch's; the median is {similarity(float(np.median(map)))}."
    )
