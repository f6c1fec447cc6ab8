"""DCAL: a vision transformer trained with three attentions (Zhu et al., CVPR 2022, arXiv 2205.02151)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dcal.errors import DCALError
from dcal.model.ablation import BRANCHES, PAPER
from dcal.model.attention import KeysValues
from dcal.model.backbone import create_backbone, encode, preprocess_of
from dcal.model.branch import Answer, BranchInput
from dcal.model.config import ModelConfig
from dcal.model.glca import GLCA, read_out, select_patches
from dcal.model.kinds import embed, layout_of
from dcal.model.output import Output
from dcal.model.pooling import pooled_weights
from dcal.model.positions import Backbone, place_as_last
from dcal.model.pwca import attention_shares, check_distractor, encode_pairs
from dcal.model.rollout import Layer, Pooled, carry_down, class_rollout, layer_rollouts
from dcal.preprocess import Preprocess


class Classifier(nn.Sequential):
    """Re-ID's head, as TransReID's baseline has it: batch-norm neck without a learned shift, linear without bias."""

    def __init__(self, width: int, num_classes: int) -> None:
        neck, linear = nn.BatchNorm1d(width), nn.Linear(width, num_classes, bias=False)
        neck.bias.requires_grad_(False)
        nn.init.normal_(linear.weight, std=0.001)
        super().__init__(neck, linear)


class DCAL(nn.Module):
    """The backbone with the branches of its ablation. Use `create_model` or `load` to make one.

    SA is timm's own forward. PWCA is an argument (`distractor`): the same blocks, norm and classifier. GLCA is one
    block and one classifier of its own.
    """

    backbone: Backbone

    def __init__(self, config: ModelConfig, backbone: Backbone) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.layout = layout_of(backbone)
        width, reid = backbone.num_features, config.task == "reid"
        self.sa_classifier = Classifier(width, config.num_classes) if reid else None  # FGVC: the backbone's own head
        self.glca = GLCA(backbone, config.num_glca_layers) if "glca" in config.branches else None
        if self.glca is not None:
            self.glca_classifier = Classifier(width, config.num_classes) if reid else linear(width, config.num_classes)
        self.kinds = {name: BRANCHES[name] for name in config.branches if name not in PAPER["full"]}
        self.more = nn.ModuleDict({name: kind.make(backbone, config) for name, kind in self.kinds.items()})
        head = Classifier if reid else linear
        self.more_classifiers = nn.ModuleDict({name: head(width, config.num_classes) for name in self.kinds})

    def forward(
        self,
        images: Float[Tensor, "b 3 img_h img_w"],
        distractor: Int[Tensor, " b"] | None = None,
        top_ratio: float | None = None,
    ) -> Output:
        """All branches' logits and features. `distractor[i]` is the index of image i's distractor (`random_matching`).

        A model without PWCA computes nothing with it. `top_ratio` overrides the configured R. Raises DCALError for
        images of another size than the model's, and, whatever the ablation, for a `distractor` that is none.
        """
        x = self.embed(images)
        pairs = distractor is not None and "pwca" in self.config.branches
        if distractor is not None and not pairs:
            check_distractor(distractor, len(x))
        stream = self.shared_stream() if pairs else None
        output = self.forward_alone(x, top_ratio, stream)
        if distractor is not None and pairs:
            logits, feature = self.forward_pairs(x, distractor, stream)
            output = replace(output, pwca_logits=logits, pwca_feature=feature)
        return output

    def forward_alone(
        self,
        x: Float[Tensor, "b n width"],
        top_ratio: float | None = None,
        stream: list[KeysValues] | None = None,
    ) -> Output:
        """SA and GLCA, which see one image at a time, from the embedding. A `stream` given is filled (`encode`)."""
        follows = self.glca is not None or len(self.more) > 0
        tokens, layers = encode(self.backbone, x, keep_rollout=follows, stream=stream)
        return self.read(tokens, class_rollout(layers, self.pooled(tokens)) if layers else None, top_ratio)

    def read(
        self,
        tokens: Float[Tensor, "b n width"],
        rollout: Float[Tensor, "b n"] | None = None,
        top_ratio: float | None = None,
    ) -> Output:
        """SA's, GLCA's and further branches' answers from the last block's tokens and the class row of their rollout.

        The row is over all tokens. GLCA is left out of a model that has none, and all but SA where no rollout is given.
        """
        output = self.read_sa(tokens)
        if rollout is None:
            return output
        scores = rollout[:, self.layout.prefix :]
        if self.more:
            output = replace(output, more=self.read_more(BranchInput(tokens, scores, self.layout)))
        if self.glca is None:
            return output
        selected = self.select(scores, top_ratio)
        logits, feature = self.read_glca(tokens, selected)
        return replace(output, glca_logits=logits, glca_feature=feature, scores=scores, selected=selected)

    def read_more(self, given: BranchInput) -> dict[str, Answer]:
        """What the further branches answer; those that are trained only, while training."""
        found = {}
        for name, kind in self.kinds.items():
            if self.training or not kind.trained_only:
                feature = self.more[name](given)
                found[name] = Answer(self.more_classifiers[name](feature), feature, not kind.trained_only)
        return found

    @property
    def predicting(self) -> tuple[str, ...]:
        """The branches that count in what the model answers: their features are the embedding, in this order."""
        further = (name for name, kind in self.kinds.items() if not kind.trained_only)
        return ("sa", *(["glca"] if self.glca is not None else []), *further)

    def forward_pairs(
        self,
        x: Float[Tensor, "b n width"],
        distractor: Int[Tensor, " b"],
        stream: Sequence[KeysValues] | None = None,
    ) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b width"]]:
        """(PWCA's logits, its feature) from the embedding, read as SA's are. `stream`: see `encode_pairs`."""
        partner, pair_layers = check_distractor(distractor, len(x)), self.config.num_pwca_layers
        pwca = self.read_sa(encode_pairs(self.backbone, x, partner, stream, pair_layers))
        return pwca.sa_logits, pwca.sa_feature

    def shared_stream(self) -> list[KeysValues] | None:
        """Where SA leaves its keys and values if they are to distract in PWCA, else None (PWCA's own do)."""
        return [] if self.config.distractor_stream == "sa" else None

    def embed(self, images: Float[Tensor, "b 3 img_h img_w"]) -> Float[Tensor, "b n width"]:
        """The tokens that enter the first block; SA and PWCA share them."""
        expected = (3, *self.config.img_size)
        if images.ndim != 4 or tuple(images.shape[1:]) != expected:
            raise DCALError(f"the model takes a batch of images (b, {expected}), got {tuple(images.shape)}")
        return embed(self.backbone, images)

    def read_sa(self, tokens: Float[Tensor, "b n width"]) -> Output:
        """SA's (and PWCA's) logits and feature from the last block's tokens."""
        tokens = self.backbone.norm(tokens)
        feature = self.backbone.forward_head(tokens, pre_logits=True)
        if self.sa_classifier is not None:
            return Output(self.sa_classifier(feature), feature)
        return Output(self.backbone.forward_head(tokens), feature)

    def read_pooled(self, pooled: Float[Tensor, "b width"]) -> Output:
        """`read_sa` from what the backbone has pooled."""
        feature = self.backbone.head_drop(self.backbone.fc_norm(pooled))
        classifier = self.backbone.head if self.sa_classifier is None else self.sa_classifier
        return Output(classifier(feature), feature)

    def pooled(self, tokens: Float[Tensor, "b n width"]) -> Pooled:
        """How much of each of the last block's tokens is pooled: where a rollout starts. None: at the class token."""
        return pooled_weights(self.backbone, tokens)

    def require_glca(self) -> GLCA:
        """The GLCA branch. Raises DCALError if the ablation has none."""
        if self.glca is None:
            raise DCALError(
                f"this checkpoint ({self.config.ablation}) has no GLCA branch, so there is nothing to select"
            )
        return self.glca

    def select(self, scores: Float[Tensor, "b p"], ratio: float | None = None) -> Int[Tensor, "b k"]:
        """The patches that are queries of GLCA: the top `ratio` by `scores`, or, as a control, as many at random.

        `ratio` defaults to the configured R. Random ones are drawn anew for every image while training, and are the
        same ones for all images in evaluation.
        """
        ratio = self.config.top_ratio if ratio is None else ratio
        if self.config.selection == "random":
            fixed = None if self.training else torch.Generator().manual_seed(0)
            drawn = torch.rand(scores.shape if self.training else scores.shape[1:], generator=fixed)
            scores = drawn.to(scores.device).expand(scores.shape)
        return select_patches(scores, ratio)

    def read_glca(
        self, tokens: Float[Tensor, "b n width"], selected: Int[Tensor, "b k"]
    ) -> tuple[Float[Tensor, "b c"], Float[Tensor, "b width"]]:
        """(GLCA's logits, its feature) for the given patches."""
        glca = self.require_glca()
        place = place_as_last(self.backbone)
        feature = read_out(glca(tokens, selected, self.pooled(tokens), place), self.config.readout)
        return self.glca_classifier(feature), feature

    @torch.no_grad()
    def glca_maps(
        self, tokens: Float[Tensor, "b n width"], selected: Int[Tensor, "b k"], layers: Sequence[Layer]
    ) -> tuple[Float[Tensor, "b h k_and_class n"], Float[Tensor, "b n"]]:
        """(what each of GLCA's queries attends to, the class query's mean over heads carried down to the input)."""
        glca = self.require_glca()
        place = place_as_last(self.backbone)
        attention = glca.attention(tokens, selected, self.pooled(tokens), place)
        return attention, carry_down(attention[:, :, :1].mean(dim=1), layers)[:, 0]

    @torch.no_grad()
    def distractor_shares(
        self, images: Float[Tensor, "b 3 img_h img_w"], distractor: Int[Tensor, " b"]
    ) -> Float[Tensor, " layers"]:
        """How much of PWCA's attention falls on the distractors' tokens, by layer (`attention_shares`), in [0, 1].

        It costs a forward over pairs, so give it a few images of a batch. Measured as in evaluation: nothing is drawn
        at random, no statistics are kept, and the model's mode is restored. Raises DCALError for images of another
        size than the model's and for indices that are none.
        """
        check_distractor(distractor, len(images))
        training = [module for module in self.modules() if module.training]
        self.eval()
        try:
            x, stream = self.embed(images), self.shared_stream()
            if stream is not None:
                encode(self.backbone, x, stream=stream)
            return attention_shares(self.backbone, x, distractor, stream, self.config.num_pwca_layers)
        finally:
            for module in training:
                module.training = True

    @torch.no_grad()
    def rollouts(self, images: Float[Tensor, "b 3 img_h img_w"]) -> Float[Tensor, "b l n"]:
        """The class row of the rollout after each layer, or that of what is pooled, over all tokens. Rows sum to 1."""
        tokens, layers = encode(self.backbone, self.embed(images), keep_rollout=True)
        return layer_rollouts(layers, pooled=self.pooled(tokens))


def linear(width: int, num_classes: int) -> nn.Linear:
    """A fresh classifier, initialised as timm initialises its own."""
    layer = nn.Linear(width, num_classes)
    nn.init.trunc_normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer


@torch.inference_mode(False)  # a model made in that mode could not be trained
def create_model(
    backbone: str,
    num_classes: int,
    *,
    ablation: str = "full",
    img_size: int | tuple[int, int] = 224,
    pretrained: bool | str | Path = False,
    task: str = "fgvc",
    top_ratio: float = 0.10,
    readout: str = "mean",
    selection: str = "rollout",
    distractor_stream: str = "own",
    num_sa_layers: int | None = None,
    num_glca_layers: int = 1,
    num_pwca_layers: int | None = None,
    classes: Sequence[str] = (),
    preprocess: Preprocess | None = None,
    drop_path: float = 0.0,
) -> DCAL:
    """A new model on timm's `backbone`. `img_size` is (height, width) in pixels, or one number for both.

    `pretrained`: False, True (hub; needs the network), or a local file (`dcal.model.weights`). `preprocess`
    defaults to what timm states for the backbone. `num_sa_layers`, `num_glca_layers`, `num_pwca_layers`: the paper's L,
    M and T (see `ModelConfig`). Raises DCALError for names, sizes and ratios that do not fit, with
    what would.
    """
    size = (img_size, img_size) if isinstance(img_size, int) else (img_size[0], img_size[1])
    config = ModelConfig(
        backbone=backbone,
        num_classes=num_classes,
        ablation=ablation,
        task=task,
        img_size=size,
        top_ratio=top_ratio,
        readout=readout,
        selection=selection,
        distractor_stream=distractor_stream,
        num_sa_layers=num_sa_layers,
        num_glca_layers=num_glca_layers,
        num_pwca_layers=num_pwca_layers,
        preprocess=preprocess or Preprocess(size=size),
        classes=tuple(classes),
    )
    model = create_backbone(backbone, 0 if task == "reid" else num_classes, size, pretrained, drop_path, num_sa_layers)
    if num_pwca_layers is not None and num_pwca_layers > len(model.blocks):
        raise DCALError(f"num_pwca_layers must lie between 1 and the {len(model.blocks)} layers, got {num_pwca_layers}")
    if preprocess is None:
        config = replace(config, preprocess=preprocess_of(model, size))
    return DCAL(config, model)
