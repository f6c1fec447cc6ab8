"""The model card that goes with every checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm

from dcal.model.ablation import BRANCHES, branches
from dcal.model.config import ModelConfig
from dcal.model.dcal import DCAL

ABOUT = {
    "sa_only": "self-attention alone (the baseline: a plainly fine-tuned vision transformer)",
    "sa_glca": "self-attention and global-local cross-attention",
    "sa_pwca": "self-attention, regularised by pair-wise cross-attention while training",
    "full": "self-attention, global-local cross-attention, and pair-wise cross-attention while training",
}


TAGS = {"fgvc": "fine-grained", "reid": "re-identification"}
USE = {
    "fgvc": ('inspection = dcal.inspect(model, "image.jpg")',),
    "reid": (
        'match = dcal.explain_match(model, "query.jpg", "other.jpg")',
        'match.similarity, match.evidence("sa").query_map  # and which patches made it',
    ),
}


def about(ablation: str) -> str:
    """The attentions of an ablation in words, a further branch's own last."""
    if ablation in ABOUT:
        return ABOUT[ablation]
    *_, further = branches(ablation)
    return f"{ABOUT['full' if ablation.startswith('full_') else 'sa_only']}; and {BRANCHES[further].about}"


def model_card(model: DCAL, place: Path, metrics: Mapping[str, Any], sections: Mapping[str, str]) -> str:
    """Markdown with Hugging Face front matter: what the model is, how to load it, how it measures, then `sections`.

    `place` is where the checkpoint is saved; the card loads it from there, but tells no absolute path.
    """
    name = place.name
    shown = place.as_posix() if not place.is_absolute() else name
    config, parameters = model.config, sum(p.numel() for p in model.parameters())
    lines = [
        "---",
        "library_name: dcal",
        f"pipeline_tag: {'image-classification' if config.task == 'fgvc' else 'image-feature-extraction'}",
        f"tags: [dcal, vision-transformer, attention-rollout, {TAGS[config.task]}]",
        *provenance(config, metrics),
        "---",
        "",
        f"# {name}",
        "",
        f"Dual Cross-Attention Learning (Zhu et al., CVPR 2022) on `{config.backbone}`, "
        f"trained with {about(config.ablation)}. "
        f"{parameters / 1e6:.2f} million parameters, input {config.img_size[0]}×{config.img_size[1]} px, "
        f"{config.num_classes} {'classes' if config.task == 'fgvc' else 'identities to learn from'}" + choices(config),
        "",
        "```python",
        "import dcal",
        "",
        f'model = dcal.load("{shown}")  # or the repository on the Hub, "OWNER/NAME"',
        *USE[config.task],
        "```",
    ]
    if metrics:
        lines += ["", "## Measured", "", "Ratios and accuracies are fractions.", "", "| figure | value |", "|---|---|"]
        lines += [f"| {_shown(key)} | {_shown(value)} |" for key, value in metrics.items()]
    for heading, text in sections.items():
        lines += ["", f"## {heading}", "", text]
    return "\n".join(lines) + "\n"


def provenance(config: ModelConfig, metrics: Mapping[str, Any]) -> list[str]:
    """The front matter's lines on licence, data set and base model, as far as the metrics of a run tell them."""
    lines = ["license: other", "license_name: terms-of-the-training-data", "license_link: README.md#data"]
    if "dataset" in metrics:
        lines.append(f"datasets: [{metrics['dataset']}]")
    pretrained = "--pretrained false" not in str(metrics.get("command", "--pretrained false"))
    known = timm.get_pretrained_cfg(config.backbone) if timm.is_model(config.backbone) else None
    if pretrained and known is not None and known.hf_hub_id:
        lines.append(f"base_model: {known.hf_hub_id}")
    return lines


def choices(config: ModelConfig) -> str:
    """What was chosen where the paper is silent or has a control, as the end of a sentence."""
    text = ""
    if "glca" in config.branches:
        text += f", R = {config.top_ratio:.0%}, readout `{config.readout}`"
        text += ", queries at random as a control" if config.selection == "random" else ""
    if "pwca" in config.branches and config.distractor_stream == "sa":
        text += ", distractors from SA's stream"
    return f"{text}."


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return value.replace("|", "\\|") if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
