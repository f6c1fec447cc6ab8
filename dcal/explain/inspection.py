"""The record of one inspected image, from which every face draws."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_type_hints

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, UInt8
from PIL import Image

from dcal.errors import DCALError, check_choice
from dcal.explain.record import check_record
from dcal.files import remove_stale, writing
from dcal.model.ablation import BRANCHES
from dcal.model.config import ModelConfig, from_plain
from dcal.model.kinds import TokenLayout
from dcal.model.positions import Bias
from dcal.model.rollout import Layer, QueriesKeys, layer_rollouts
from dcal.modes import give_usual_mode
from dcal.preprocess import Box

Map = Float32[np.ndarray, "rows cols"]
NPZ_FORMAT = 1
# What reading a file that is none of ours, or was damaged, can raise: numpy, zip, PNG, JSON and our own checks.
DAMAGE = (
    *(OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, SyntaxError, RuntimeError, MemoryError),
    *(OverflowError, zipfile.BadZipFile, zlib.error, Image.DecompressionBombError),
)


@dataclass(frozen=True, eq=False, repr=False)
class Inspection:
    """Everything a face needs to draw one image, in plain numpy. Layers, heads, rows and columns count from 0.

    Maps are (rows, cols) over the model's patches, which cover `box` of the image exactly. Queries and keys are kept,
    not attention maps: any head's or token's map follows from them, in less memory than the maps themselves.
    """

    image: UInt8[np.ndarray, "image_height image_width 3"]  # upright, RGB
    view: UInt8[np.ndarray, "img_h img_w 3"]  # the model's input, before normalisation
    box: Box  # left, top, right, bottom: the part of `image` that the model sees, in its pixels
    notes: tuple[str, ...]  # for the user: how the image was read
    config: ModelConfig
    layout: TokenLayout
    fingerprint: str  # SHA-256 of the weights
    queries: Float32[np.ndarray, "l h n d"]
    keys: Float32[np.ndarray, "l h n d"]
    final_tokens: Float32[np.ndarray, "n width"]  # the last block's output, from which GLCA can select again
    rollout: Float32[np.ndarray, "l rows cols"]  # class row of the rollout after each layer
    sa_probabilities: Float32[np.ndarray, " c"]
    probabilities: Float32[np.ndarray, " c"]  # SA's and GLCA's, halved and added; SA's alone without GLCA
    embedding: Float32[np.ndarray, " e"]
    top_ratio: float  # R
    glca_probabilities: Float32[np.ndarray, " c"] | None = None
    selected: Int64[np.ndarray, " k"] | None = None  # patch indices, best first
    glca_attention: Float32[np.ndarray, "h k_and_class n"] | None = (
        None  # what GLCA's queries attend to, class query first
    )
    glca_input_map: Map | None = None  # the class query's attention, carried down to the input through the rollout
    target: int | None = None
    gradient_rollout: Map | None = None  # for class `target`; see dcal.explain.relevance
    relevance: Map | None = None
    pooled: Float32[np.ndarray, " n"] | None = None  # how much of every token is pooled; None: the class token is read
    bias_tables: Float32[np.ndarray, "l r h"] | None = None  # what is added to the scores (`dcal.model.positions.Bias`)
    bias_index: Int64[np.ndarray, "n n"] | None = None
    more_probabilities: Float32[np.ndarray, "x c"] | None = None  # further branches', in the order of the ablation's
    timings: dict[str, float] = field(default_factory=dict)  # seconds, by step

    def __repr__(self) -> str:
        """One line: the backbone, the image, the maps' sizes, R and the most probable class (the class maps' too)."""
        (height, width), (name, probability) = self.image.shape[:2], self.top(1)[0]
        target = "" if self.target is None else f", class maps of {self.classes[self.target]!r}"
        return (
            f"Inspection({self.config.backbone}, {self.config.ablation}: image {height}×{width} px, "
            f"{self.layout.rows}×{self.layout.cols} patches, {self.num_layers} layers, {self.num_heads} heads, "
            f"R = {self.top_ratio:.3g}, {name!r} {probability:.3f}{target})"
        )

    @property
    def photo(self) -> UInt8[np.ndarray, "image_height image_width 3"]:
        """The former name of `image`."""
        return self.image

    @property
    def num_layers(self) -> int:
        return self.queries.shape[0]

    @property
    def num_heads(self) -> int:
        return self.queries.shape[1]

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, or their numbers where the model has none."""
        return class_names(self.config)

    @property
    def sa_map(self) -> Map:
        """The rollout after the last layer: how much of every patch is in the class token, or in what is pooled."""
        return self.rollout[-1]

    @property
    def scores(self) -> Float32[np.ndarray, " p"]:
        """What GLCA ranks patches by: `sa_map`, flat."""
        return self.sa_map.reshape(-1)

    @property
    def glca_map(self) -> Map | None:
        """What the class query, or the pooled mean's, attends to in the GLCA block, averaged over heads."""
        return None if self.glca_attention is None else self._patches(self.glca_attention[:, 0].mean(axis=0))

    @property
    def glca_local_map(self) -> Map | None:
        """What the selected patches attend to in the GLCA block, averaged over them and over heads."""
        return None if self.glca_attention is None else self._patches(self.glca_attention[:, 1:].mean(axis=(0, 1)))

    @property
    def selected_mask(self) -> Bool[np.ndarray, "rows cols"] | None:
        if self.selected is None:
            return None
        mask = np.zeros(self.layout.patches, dtype=bool)
        mask[self.selected] = True
        return mask.reshape(self.layout.rows, self.layout.cols)

    def head(self, layer: int, head: int) -> Map:
        """What the class token attends to in one head of one layer. Raises DCALError outside the model.

        Of a model that pools instead: what the pooled tokens do, by how much of each is pooled.
        """
        within("head", head, self.num_heads)
        if self.pooled is None:
            return self._patches(self.attention_rows(layer, 0)[head])
        chosen = self.layers()[within("layer", layer, self.num_layers)]
        parts = [self.pooled[rows] @ block[0, head].numpy() for rows, block in chosen.blocks()]
        return self._patches(np.stack(parts).sum(axis=0, dtype=np.float32))

    def token(self, layer: int, row: int, col: int, head: int | None = None) -> Map:
        """What the patch at (row, col) attends to in one layer: in one head, or averaged over heads."""
        row, col = within("row", row, self.layout.rows), within("column", col, self.layout.cols)
        heads = self.attention_rows(layer, self.layout.prefix + row * self.layout.cols + col)
        return self._patches(heads.mean(axis=0) if head is None else heads[within("head", head, self.num_heads)])

    def attention_rows(self, layer: int, token: int) -> Float32[np.ndarray, "h n"]:
        """What one token attends to in each head of one layer; rows sum to 1. Tokens count from 0: the class
        token, other prefix tokens, then patches by row. Raises DCALError outside the model.
        """
        within("token", token, self.queries.shape[2])
        chosen = self.layers()[within("layer", layer, self.num_layers)]
        _, block = next(chosen.blocks(slice(token, token + 1)))
        return block[0, :, 0].numpy()

    def prefix_token(self, layer: int, token: int = 0, head: int | None = None) -> Map:
        """What a prefix token (class, distillation, register; see `TokenLayout.prefix_names`) attends to in one layer.


        In one head, or averaged over heads. Raises DCALError for what the model does not have.
        """
        heads = self.attention_rows(layer, within("prefix token", token, self.layout.prefix))
        return self._patches(heads.mean(axis=0) if head is None else heads[within("head", head, self.num_heads)])

    def rolled(
        self, fusion: str = "mean", discard: float = 0.0, start: int = 0, token: int | None = None
    ) -> Float32[np.ndarray, "_ rows cols"]:
        """The rollout after each layer from `start` on: how much each patch has contributed to `token` by then.

        `fusion` ("mean", "max", "min") and `discard` in [0, 1): see `QueriesKeys.fused`. `start`: layers below are left
        out, so the first map is that of layer `start`, whose inputs count as the patches themselves. `token`: a prefix
        token; by itself the class token, or what is pooled in its place. Computed from the record: no model runs.
        """
        start = within("layer", start, self.num_layers)
        if token is not None:
            within("prefix token", token, self.layout.prefix)
        if (fusion, discard, start) == ("mean", 0, 0) and (token is None or (token == 0 and self.pooled is None)):
            return self.rollout
        pooled = None if self.pooled is None or token is not None else torch.from_numpy(self.pooled)[None]
        layers: Sequence[Layer] = self.layers()[start:]
        if (fusion, discard) != ("mean", 0):
            layers = [layer.fused(fusion, discard) for layer in self.layers()[start:]]
        return self._patches(layer_rollouts(layers, token or 0, pooled)[0].numpy())

    def top(self, k: int = 5, branch: str = "fused") -> list[tuple[str, float]]:
        """The k most probable (class name, probability) of a branch: "fused", "sa", "glca" or a further one's name."""
        known = {"fused": self.probabilities, "sa": self.sa_probabilities, "glca": self.glca_probabilities}
        if self.more_probabilities is not None:
            known |= dict(zip(self._further(), self.more_probabilities, strict=True))
        chosen = known[check_choice("branch", branch, known)]
        if chosen is None:
            raise DCALError(f"this checkpoint ({self.config.ablation}) has no GLCA branch")
        return [(self.classes[i], float(chosen[i])) for i in np.argsort(-chosen, kind="stable")[:k]]

    def _further(self) -> list[str]:
        """The further branches that predict, in the order of `more_probabilities`."""
        return [name for name in self.config.branches if name in BRANCHES and not BRANCHES[name].trained_only]

    def similarity(self, other: Inspection) -> float:
        """The cosine of the two images' embeddings, in [-1, 1]."""
        lengths = np.linalg.norm(self.embedding) * np.linalg.norm(other.embedding)
        return float(self.embedding @ other.embedding / lengths)

    @property
    def score_width(self) -> int:
        """How many numbers a query of `scoring` has."""
        return self.queries.shape[3] + (0 if self.bias_index is None else len(self.bias_index))

    def scoring(self, layer: int) -> tuple[Float32[np.ndarray, "h n e"], Float32[np.ndarray, "h n e"]]:
        """Queries and keys of one layer whose products, over √e, are its scores.

        The recorded ones; where a bias is added to the scores, with it as further numbers of the queries, and of the
        keys the identity.
        """
        q, k = self.queries[layer], self.keys[layer]
        bias = self._bias(layer, None)
        if bias is None:
            return q, k
        root = self.score_width**0.5
        one = np.broadcast_to(np.eye(q.shape[1], dtype=np.float32), (len(q), q.shape[1], q.shape[1]))
        more = np.concatenate([q * (root / q.shape[2] ** 0.5), root * bias.rows().numpy()], axis=-1)
        return more.astype(np.float32), np.concatenate([k, one], axis=-1)

    def layers(self, device: torch.device | None = None) -> list[QueriesKeys]:
        """The recorded layers, ready for the functions of `dcal.model.rollout`."""
        recorded = [torch.from_numpy(own).to(device)[:, None] for own in (self.queries, self.keys)]
        return [QueriesKeys(q, k, self._bias(at, device)) for at, (q, k) in enumerate(zip(*recorded, strict=True))]

    def _bias(self, layer: int, device: torch.device | None) -> Bias | None:
        if self.bias_tables is None or self.bias_index is None:
            return None
        table, index = torch.from_numpy(self.bias_tables[layer]), torch.from_numpy(self.bias_index)
        return Bias(table.to(device), index.to(device))

    def _patches(self, tokens: Float32[np.ndarray, "*any n"]) -> Float32[np.ndarray, "*any rows cols"]:
        return patch_part(tokens, self.layout)

    def to_npz(self, path: str | Path) -> Path:
        """Write the whole record to one compressed NPZ file, atomically, and return its path.

        Arrays stand under their field names, `image` as PNG bytes, everything else as JSON under `meta`.
        """
        path = Path(path)
        arrays: dict[str, np.ndarray] = {}
        meta: dict[str, Any] = {"format": NPZ_FORMAT}
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if isinstance(value, np.ndarray):
                arrays[item.name] = _png(value) if item.name == "image" else value
            else:
                meta[item.name] = dataclasses.asdict(value) if item.name in ("config", "layout") else value
        arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
        with writing(path.parent, sum(array.nbytes for array in arrays.values()), f"{path.name} was not written."):
            remove_stale(path)
            handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    np.savez_compressed(file, **arrays)  # type: ignore[arg-type] # allow_pickle is not among the names
                give_usual_mode(temporary)  # mkstemp's are for the owner alone
                os.replace(temporary, path)
            finally:
                Path(temporary).unlink(missing_ok=True)
        return path

    @classmethod
    def from_npz(cls, path: str | Path) -> Inspection:
        """The record in an NPZ file that `to_npz` wrote. Nothing is unpickled.

        Raises DCALError for any other file, and for a record whose parts do not fit each other (`check_record`).
        """
        try:
            with np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            meta = json.loads(arrays.pop("meta").tobytes())
            if meta.pop("format") != NPZ_FORMAT:
                raise DCALError(f"{path} was written by another release: its format is not {NPZ_FORMAT}")
            if "photo" in arrays:  # the name of the field until version 0.1
                arrays["image"] = arrays.pop("photo")
            arrays["image"] = np.asarray(Image.open(io.BytesIO(arrays["image"].tobytes()), formats=("PNG",)))
            meta["config"] = ModelConfig.from_dict(meta["config"])
            meta["layout"] = from_plain(TokenLayout, meta["layout"])
            found = SimpleNamespace(**{item.name: None for item in dataclasses.fields(cls)} | meta | arrays)
            check_record(found, get_type_hints(cls))
            return cls(**vars(found))
        except DAMAGE as error:
            raise DCALError(f"{path} is not a record that dcal wrote ({error})") from error


def class_names(config: ModelConfig) -> tuple[str, ...]:
    """A model's class names, or their numbers where it has none."""
    return config.classes or tuple(f"class {i}" for i in range(config.num_classes))


def patch_part(tokens: Float32[np.ndarray, "*any n"], layout: TokenLayout) -> Float32[np.ndarray, "*any rows cols"]:
    """The patches among the last axis' tokens, as (…, rows, cols)."""
    patches = tokens[..., layout.prefix :]
    return patches.reshape(*patches.shape[:-1], layout.rows, layout.cols)


def within(what: str, index: int, count: int) -> int:
    """`index` itself if it lies in [0, count), else a DCALError."""
    if not 0 <= index < count:
        raise DCALError(f"there is no {what} {index}: the model has {count}, counted from 0")
    return index


def _png(pixels: UInt8[np.ndarray, "img_h img_w 3"]) -> UInt8[np.ndarray, " bytes"]:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return np.frombuffer(buffer.getvalue(), dtype=np.uint8)
