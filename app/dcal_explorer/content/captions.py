"""What the page says: one plain sentence for every map, and the predictions as bars."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from dcal import Inspection, ModelConfig
from dcal.draw import percent
from dcal.model.model_card import ABOUT

EMPTY = "Upload, paste or drop a photo, or click a sample."
NO_GLCA = (
    "This checkpoint was trained without global-local cross-attention: there is no GLCA map, and nothing is selected. "
    "Choose one that has the branch."
)
FUSED = {"mean": "mean", "max": "maximum", "min": "minimum"}
GLCA_KINDS = {
    "input": "Carried down to the input",
    "block": "In the GLCA block",
    "local": "Selected patches",
}
GLCA_MAPS = {
    "input": "What the class token gathers in the GLCA block, carried down through the rollout to the photo's patches.",
    "block": "What the class token attends to in the GLCA block, among the last layer's tokens.",
    "local": "What the selected patches attend to in the GLCA block, averaged over them.",
}
NO_CLASSES = (
    "This checkpoint re-identifies: it names nothing, it compares pictures. So there is no class to look for here; the "
    "tab Re-identify shows what makes it match one picture with another."
)
ENLARGE = "*Click one to enlarge it.*"
SA = "**SA.** The rollout after the last layer: how much of every patch is in the class token."
DIFFERENCE = "**GLCA − SA.** Orange where GLCA looks more, blue where SA does; white where they agree."


def summary(seen: Inspection, checkpoint: str, metrics: dict[str, Any]) -> str:
    """Which model looked at what, how long it took, and what the user should know about the photo."""
    config, (height, width) = seen.config, seen.config.img_size
    parts = [
        f"`{config.backbone}`",
        f"{width}×{height} px",
        f"{seen.layout.rows}×{seen.layout.cols} patches",
        f"{seen.num_layers} layers of {seen.num_heads} heads",
    ]
    parts += accuracy(metrics)
    parts.append(f"seen in {sum(seen.timings.values()):.2f} s")
    lines = [f"**{plain(checkpoint)}** · {' · '.join(parts)}", *seen.notes]
    left, top, right, bottom = seen.box
    if (right - left) * (bottom - top) < 0.999 * seen.photo.shape[0] * seen.photo.shape[1]:
        lines.append("The dimmed margin lies outside what the model sees.")
    return "\n\n".join(lines)


def names_classes(config: ModelConfig) -> bool:
    """Whether a checkpoint's answer is a class. A re-identification model has a classifier only to train with."""
    return config.task == "fgvc"


def accuracy(metrics: dict[str, Any]) -> list[str]:
    """How often the checkpoint was right, or how well it ranks, if that was measured."""
    figures = {"top1": "{:.1%} right on its test photos", "mAP": "mAP {:.1%} on its test photos, standard protocol"}
    return [text.format(metrics[key]) for key, text in figures.items() if isinstance(metrics.get(key), float)]


def attentions(config: ModelConfig) -> str:
    """The attentions that a checkpoint was trained with, by the paper's names: "SA + GLCA"."""
    return " + ".join(branch.upper() for branch in config.branches)


def about(config: ModelConfig, checkpoint: str, metrics: dict[str, Any]) -> str:
    """The head of a column, as HTML: a checkpoint's ablation by its names and in plain words."""
    said = " · ".join([f"<code>{html.escape(checkpoint)}</code>", *accuracy(metrics)])
    return f"<h3>{attentions(config)}</h3><p>{said}</p><p>Trained with {ABOUT[config.ablation]}.</p>"


def verdict(seen: Sequence[Inspection]) -> str:
    """Whether several checkpoints name the same class; those that name none have no say."""
    seen = [record for record in seen if names_classes(record.config)]
    if not seen:
        return ""
    said = Counter(readable(record.top(1)[0][0]) for record in seen)
    if len(said) > 1:
        return "They disagree: " + ", ".join(f"**{plain(name)}** ({count})" for name, count in said.most_common()) + "."
    probabilities = sorted(record.top(1)[0][1] for record in seen)
    span = " to ".join(dict.fromkeys(f"{p:.1%}" for p in (probabilities[0], probabilities[-1])))
    return f"{'All say' if len(seen) > 1 else 'It says'} **{plain(next(iter(said)))}** ({span})."


def top(seen: Inspection, k: int = 5) -> dict[str, dict[str, float]]:
    """The k most probable classes of each branch there is: {"SA + GLCA" | "SA" | "GLCA": {class: probability}}.

    Empty for a model that names no classes.
    """
    if not names_classes(seen.config):
        return {}
    branches = {"SA": "sa"} if seen.glca_probabilities is None else {"SA + GLCA": "fused", "SA": "sa", "GLCA": "glca"}
    return {name: dict(seen.top(k, branch)) for name, branch in branches.items()}


def bars(predictions: dict[str, dict[str, float]]) -> str:
    """Predictions as HTML (drawn by bars.css): per branch a short list, each class with a bar and its probability."""
    if not predictions:
        return f'<p class="alone">{NO_CLASSES}</p>'
    return f'<div class="bars">{"".join(_branch(name, found) for name, found in predictions.items())}</div>'


def _branch(name: str, found: dict[str, float]) -> str:
    kind = {"SA": "sa", "GLCA": "glca"}.get(name, "both")
    rows = "".join(_bar(*item) for item in found.items())
    return f'<section class="branch {kind}"><h4>{name}</h4><ol>{rows}</ol></section>'


def _bar(name: str, probability: float) -> str:
    shown = html.escape(readable(name))
    return f'<li style="--p:{probability:.2%}"><span title="{shown}">{shown}</span><b>{probability:.1%}</b></li>'


def readable(name: str) -> str:
    """CUB's "001.Black_footed_Albatross" as "Black footed Albatross"; other names stay, but for underscores."""
    number, dot, rest = name.partition(".")
    return (rest if dot and number.isdigit() and rest else name).replace("_", " ")


def plain(text: str) -> str:
    """`text` for a Markdown sentence, shown as it is."""
    return re.sub(r"([\\`*_{}\[\]<>|#~$])", r"\\\1", text)


def choices(seen: Inspection) -> list[tuple[str, str]]:
    """Class names to choose from: (as shown, as the checkpoint has it); none where it names none."""
    if not names_classes(seen.config):
        return []
    return [(readable(name), name) for name in seen.classes]


def first_choice(seen: Inspection) -> str | None:
    """The most probable class; None where none is named."""
    return seen.top(1)[0][0] if names_classes(seen.config) else None


def layer(seen: Inspection, number: int, map: np.ndarray, fusion: str, discard: float) -> str:
    dropped = f", the weakest {discard:.0%} of each row dropped" if discard else ""
    return (
        f"**Layer {number} of {seen.num_layers}.** How much of every patch is in the class token after this layer: "
        f"attention rollout over the {FUSED[fusion]} of the heads{dropped}. All patches together hold "
        f"{percent(float(map.sum()))}, the strongest {percent(float(map.max()))}. "
        "*Click a patch to see what it attends to.*"
    )


def layers(seen: Inspection) -> str:
    return f"The rollout after each of the {seen.num_layers} layers, on one scale."


def heads(seen: Inspection, number: int) -> str:
    return (
        f"**Layer {number}, {seen.num_heads} heads.** What the class token attends to in this layer alone, one picture "
        "a head, on one scale."
    )


def token(row: int, column: int, number: int, head: int, map: np.ndarray) -> str:
    of = f"head {head}" if head else "mean of all heads"
    return (
        f"**Row {row}, column {column}, layer {number}, {of}.** What the outlined patch attends to. All patches "
        f"together get {percent(float(map.sum()))} of its attention, the strongest {percent(float(map.max()))}; the "
        "rest goes to the class token. *Click another patch.*"
    )


def selection(seen: Inspection, before: Inspection) -> str:
    """How many patches R selects, and what that does to the predictions, beside those at the checkpoint's own R."""
    assert seen.selected is not None
    trap = " This checkpoint reads out the class token alone, which R cannot reach."
    return (
        f"**R = {seen.top_ratio:.0%}: {len(seen.selected)} of {seen.layout.patches} patches.** The outlined patches "
        "are the strongest in SA's map; they and the class token are all that asks in the GLCA block. "
        f"{_moved(seen, before)}{trap if seen.config.readout == 'class' else ''}{_moves(seen, before)}"
    )


def _moved(seen: Inspection, before: Inspection) -> str:
    """What another R did to the answer, in a sentence: the class, or, where there is none, the embedding."""
    if not names_classes(seen.config):
        return (
            f"The embedding's cosine with the one at R = {before.top_ratio:.0%}, as trained, is "
            f"{seen.similarity(before):.3f}."
        )
    name, now = seen.top(1)[0]
    old_name, old = before.top(1)[0]
    if name == old_name:
        return f"The prediction stays **{plain(readable(name))}** ({old:.1%} → {now:.1%})."
    return f"The prediction moves from **{plain(readable(old_name))}** to **{plain(readable(name))}** ({now:.1%})."


def _moves(seen: Inspection, before: Inspection) -> str:
    """The same branch by branch, as a table; nothing where no class is named."""
    if not names_classes(seen.config):
        return ""
    rows = "\n".join(
        f"| {label} | {_first(before, branch)} | {_first(seen, branch)} |"
        for label, branch in (("SA", "sa"), ("GLCA", "glca"), ("SA + GLCA", "fused"))
    )
    return f"\n\n| | R = {before.top_ratio:.0%}, as trained | R = {seen.top_ratio:.0%} |\n|---|---|---|\n{rows}"


def _first(seen: Inspection, branch: str) -> str:
    name, probability = seen.top(1, branch)[0]
    return f"{plain(readable(name))} {probability:.1%}"


def evidence(seen: Inspection, target: int) -> tuple[str, str]:
    name = plain(readable(seen.classes[target]))
    return (
        f"**Gradient-weighted rollout for {name}.** The rollout, counting only attention that speaks for it.",
        f"**Relevance for {name}** (Chefer et al., 2021). How much each patch adds to SA's score for it.",
    )
