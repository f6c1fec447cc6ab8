"""Simple pieces: boxes with rounded edges, lathed rings, tubes, flat discs, blobs; each a Surface of one label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tools.yard.outline import Numbers
from tools.yard.surface import Array, Surface, from_solid, unit, vertex_normals


def one_label(points: Array, faces: Array, label: str, normals: Array | None = None) -> Surface:
    normals = vertex_normals(points, faces) if normals is None else normals
    return Surface(points, normals, faces, np.zeros(len(faces), np.int64), (label,))


def join(pieces: Sequence[Surface]) -> Surface:
    """All pieces as one surface."""
    labels = tuple(dict.fromkeys(label for piece in pieces for label in piece.labels))
    starts = np.cumsum([0, *(len(piece.points) for piece in pieces)])
    return Surface(
        np.concatenate([piece.points for piece in pieces]),
        np.concatenate([piece.normals for piece in pieces]),
        np.concatenate([piece.faces + start for piece, start in zip(pieces, starts, strict=False)]),
        np.concatenate([np.array([labels.index(n) for n in p.labels], np.int64)[p.face_labels] for p in pieces]),
        labels,
    )


def grid_faces(rows: int, columns: int, closed: bool = False) -> Array:
    """Triangles of a grid of points, row by row; `closed` joins the last column to the first."""
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns if closed else columns - 1), indexing="ij")
    a, b = i * columns + j, i * columns + (j + 1) % columns
    c, d = a + columns, b + columns
    return np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])


def lathe(profile: Sequence[Numbers], label: str, segments: int = 40) -> Surface:
    """A profile (radius, y) turned about the y axis; listed so that its left hand shows outwards."""
    radius, y = np.array(profile, float).T
    angle = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    points = np.stack([radius[:, None] * np.cos(angle), y[:, None] + 0 * angle, radius[:, None] * np.sin(angle)], -1)
    return one_label(points.reshape(-1, 3), grid_faces(len(radius), segments, closed=True), label)


def disc(radius: float, dome: float, label: str, rings: int = 14, segments: int = 64) -> Surface:
    """A disc facing +y at y = 0, its middle `dome` metres nearer; for wheel faces that are then cut."""
    r = np.linspace(0.004, radius, rings)
    return lathe([(float(a), float(dome * (1 - (a / radius) ** 2))) for a in r[::-1]], label, segments)


def box(centre: Numbers, size: Numbers, label: str, bevel: float = 0.01) -> Surface:
    """A box with chamfered edges, shaded as if rounded."""
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    half = np.array(size, float) / 2
    bevel = min(bevel, 0.9 * float(half.min()))
    points: list[Array] = []
    normals: list[Array] = []
    faces: list[list[int]] = []
    index: dict[tuple[int, int], int] = {}
    for corner, sign in enumerate(signs):
        for axis in range(3):
            index[corner, axis] = len(points)
            points.append(sign * (half - bevel * (np.arange(3) != axis)))
            normals.append(np.where(np.arange(3) == axis, sign, 0.15 * sign))
    for axis in range(3):
        for side in (-1, 1):
            quad = [c for c in range(8) if signs[c][axis] == side]
            faces += [[index[quad[0], axis], index[quad[1], axis], index[quad[3], axis]]]
            faces += [[index[quad[0], axis], index[quad[3], axis], index[quad[2], axis]]]
    for a in range(8):
        faces.append([index[a, 0], index[a, 1], index[a, 2]])
        for b in range(a + 1, 8):
            differs = np.flatnonzero(signs[a] != signs[b])
            if len(differs) == 1:
                p, q = (k for k in range(3) if k != differs[0])
                faces += [[index[a, p], index[a, q], index[b, p]], [index[a, q], index[b, q], index[b, p]]]
    surface = one_label(np.array(points) + np.array(centre, float), np.array(faces), label, unit(np.array(normals)))
    return outward(surface, np.array(centre, float))


def sheet(corner: Numbers, u: Numbers, v: Numbers, label: str, step: float = 0.03) -> Surface:
    """A flat rectangle from `corner` along u and v, of triangles fine enough to be cut; it shows to v × u."""
    along, up = np.array(u, float), np.array(v, float)
    rows, columns = (int(np.linalg.norm(side) / step) + 2 for side in (along, up))
    s, t = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    points = np.array(corner, float) + s[..., None] * along + t[..., None] * up
    return one_label(points.reshape(-1, 3), grid_faces(rows, columns)[:, ::-1], label)


def outward(surface: Surface, centre: Array) -> Surface:
    """Every face turned so that it shows away from `centre` (for convex pieces)."""
    corners = surface.points[surface.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    inward = np.einsum("ij,ij->i", normal, corners.mean(1) - centre) < 0
    faces = np.where(inward[:, None], surface.faces[:, ::-1], surface.faces)
    return Surface(surface.points, surface.normals, faces, surface.face_labels, surface.labels)


def tube(path: Sequence[Numbers] | Array, radius: float, label: str, sides: int = 8, flat: float = 1.0) -> Surface:
    """A round bar along a path; `flat` scales its height."""
    points = np.array(path, float)
    along = unit(np.gradient(points, axis=0))
    across = unit(np.cross(along, np.where(np.abs(along[:, 2:]) > 0.9, [[1.0, 0, 0]], [[0, 0, 1.0]])))
    up = np.cross(across, along)
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)[None, :, None]
    ring = points[:, None] + radius * (np.cos(angle) * across[:, None] + flat * np.sin(angle) * up[:, None])
    caps = [points[:1].repeat(sides, 0)[None], ring, points[-1:].repeat(sides, 0)[None]]
    stack = np.concatenate(caps).reshape(-1, 3)
    return one_label(stack, grid_faces(len(points) + 2, sides, closed=True), label)


def blob(centre: Numbers, half: Numbers, radius: float, label: str, step: float = 0.02) -> Surface:
    """A box rounded by `radius` on all its edges."""
    h = np.array(half, float)

    def field(x: Array, y: Array, z: Array) -> Array:
        q = [np.abs(a) - b + radius for a, b in zip((x, y, z), h, strict=True)]
        outside = np.sqrt(sum(np.maximum(a, 0) ** 2 for a in q))
        return outside + np.minimum(np.maximum(np.maximum(q[0], q[1]), q[2]), 0) - radius

    margin = 2.5 * step
    return from_solid(field, -h - margin, h + margin, step, label).shift(*(float(value) for value in centre))
