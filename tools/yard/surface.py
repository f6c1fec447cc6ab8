"""A surface of triangles whose faces carry labels, and how to cut it along lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from skimage.measure import marching_cubes

Array = np.ndarray


@dataclass(frozen=True)
class Surface:
    """Triangles: points and unit normals (n, 3), faces (m, 3), and for each face a row of `labels`."""

    points: Array
    normals: Array
    faces: Array
    face_labels: Array
    labels: tuple[str, ...]

    def label_index(self, label: str) -> tuple[int, tuple[str, ...]]:
        labels = self.labels if label in self.labels else (*self.labels, label)
        return labels.index(label), labels

    def split(self, field: Array, label: str, only: tuple[str, ...] = ()) -> Surface:
        """Cut along `field` = 0 (one value a point); faces below zero, of the labels `only` if given, get `label`."""
        field = np.where(np.abs(field) < 1e-6, -1e-6, field)
        below = field < 0
        eligible = np.ones(len(self.faces), bool)
        if only:
            eligible = np.isin(self.face_labels, [self.labels.index(name) for name in only if name in self.labels])
        count = below[self.faces].sum(1)
        index, labels = self.label_index(label)
        face_labels = self.face_labels.copy()
        face_labels[eligible & (count == 3)] = index
        crossed = eligible & (count > 0) & (count < 3)
        if not crossed.any():
            return replace(self, face_labels=face_labels, labels=labels)
        faces, old = self.faces[crossed], face_labels[crossed]
        # turn each face so that its first corner is alone on its side
        alone = count[crossed] == 1
        is_alone = below[faces] == alone[:, None]
        first = is_alone.argmax(1)
        faces = np.take_along_axis(faces, (first[:, None] + np.arange(3)) % 3, 1)
        a, b, c = faces.T
        ab, ac, points, normals = self._cut(field, a, b, c)
        tip, rest = np.where(alone, index, old), np.where(alone, old, index)
        new = np.concatenate([np.stack([a, ab, ac], 1), np.stack([ab, b, c], 1), np.stack([ab, c, ac], 1)])
        return Surface(
            points,
            normals,
            np.concatenate([self.faces[~crossed], new]),
            np.concatenate([face_labels[~crossed], tip, rest, rest]),
            labels,
        )

    def carve(self, field: Callable[[Array, Array, Array], Array], label: str, only: tuple[str, ...] = ()) -> Surface:
        """`split` by a field that is a function of (x, y, z)."""
        return self.split(field(*self.points.T), label, only)

    def _cut(self, field: Array, a: Array, b: Array, c: Array) -> tuple[Array, Array, Array, Array]:
        edges = np.sort(np.concatenate([np.stack([a, b], 1), np.stack([a, c], 1)]), 1)
        unique, place = np.unique(edges, axis=0, return_inverse=True)
        place = place.reshape(-1) + len(self.points)
        i, j = unique.T
        t = (field[i] / (field[i] - field[j]))[:, None]
        points = self.points[i] * (1 - t) + self.points[j] * t
        normals = unit(self.normals[i] * (1 - t) + self.normals[j] * t)
        return (
            place[: len(a)],
            place[len(a) :],
            np.concatenate([self.points, points]),
            np.concatenate([self.normals, normals]),
        )

    def relabel(self, old: str, new: str) -> Surface:
        """Another name for a label; nothing changes where it is not used."""
        return replace(self, labels=tuple(new if name == old else name for name in self.labels))

    def shift(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Surface:
        return replace(self, points=self.points + np.array([x, y, z]))

    def mirror(self) -> Surface:
        """The other side of the vehicle."""
        flip = np.array([1.0, -1.0, 1.0])
        return replace(self, points=self.points * flip, normals=self.normals * flip, faces=self.faces[:, ::-1])

    def pick(self, *labels: str) -> Surface:
        """Only the faces of these labels (points stay as they are)."""
        wanted = np.isin(self.face_labels, [self.labels.index(name) for name in labels if name in self.labels])
        return replace(self, faces=self.faces[wanted], face_labels=self.face_labels[wanted])


def unit(vectors: Array) -> Array:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def vertex_normals(points: Array, faces: Array) -> Array:
    """Area-weighted normals at the points."""
    cross = np.cross(points[faces[:, 1]] - points[faces[:, 0]], points[faces[:, 2]] - points[faces[:, 0]])
    total = np.stack([sum(np.bincount(faces[:, k], cross[:, d], len(points)) for k in range(3)) for d in range(3)], 1)
    return unit(total)


def from_solid(
    field: Callable[[Array, Array, Array], Array], low: Array, high: Array, step: float, label: str
) -> Surface:
    """The surface where a signed distance of (x, |y|, z) is zero; both halves are alike."""
    x, z = np.arange(low[0], high[0] + step, step), np.arange(low[2], high[2] + step, step)
    y = (np.arange(int(high[1] / step) + 2) + 0.5) * step
    half = field(*(axis.astype(np.float32) for axis in np.meshgrid(x, y, z, indexing="ij")))
    volume = np.concatenate([half[:, ::-1], half], 1)
    points, faces, _, _ = marching_cubes(volume, 0.0, gradient_direction="ascent")
    normals = gradient_at(volume, points)
    points = points * step + np.array([x[0], -y[-1], z[0]])
    return Surface(points, normals, faces[:, ::-1], np.zeros(len(faces), np.int64), (label,))


def gradient_at(volume: Array, points: Array) -> Array:
    """Unit gradient of a volume at fractional indices: smooth normals, whatever the triangles are like."""
    axes = []
    for axis in range(3):
        slope = np.gradient(volume, axis=axis)
        i = np.minimum(points.astype(np.int32), np.array(volume.shape) - 2)
        f = points - i
        value = np.zeros(len(points))
        for corner in np.ndindex(2, 2, 2):
            weight = np.prod(np.where(corner, f, 1 - f), axis=1)
            value += weight * slope[i[:, 0] + corner[0], i[:, 1] + corner[1], i[:, 2] + corner[2]]
        axes.append(value)
    return unit(np.stack(axes, 1))


def smooth_union(a: Array, b: Array, k: float) -> Array:
    h = np.maximum(k - np.abs(a - b), 0) / k
    return np.minimum(a, b) - h * h * k / 4


def smooth_intersection(a: Array, b: Array, k: float) -> Array:
    return -smooth_union(-a, -b, k)
