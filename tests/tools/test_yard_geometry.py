"""The yard's generator without Blender: outlines, cut surfaces, and that twins differ in one part and nothing else."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from dcal.data.yard_table import PARTS
from tools.yard.assemble import build, whole
from tools.yard.detail import DETAILS
from tools.yard.fleet import COLOURS, MODELS
from tools.yard.outline import distance, fillet, rounded_box, tabulate
from tools.yard.primitive import box, grid_faces, join, lathe, one_label, sheet, tube
from tools.yard.sign import SIGNS, sign
from tools.yard.surface import Surface, from_solid, smooth_union
from tools.yard.twins import NEEDS, fleet

FLEET = fleet()


def naive_distance(polygon: np.ndarray, u: float, v: float) -> float:
    """Distance from every side by projection, inside by the angle that the corners sweep."""
    best, sweep = np.inf, 0.0
    for a, b in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        p, side = np.array([u, v]) - a, b - a
        t = min(1.0, max(0.0, float(p @ side) / float(side @ side)))
        best = min(best, float(np.linalg.norm(p - t * side)))
        one, two = a - (u, v), b - (u, v)
        sweep += np.arctan2(one[0] * two[1] - one[1] * two[0], one @ two)
    return -best if abs(sweep) > np.pi else best


def test_distance_from_a_polygon_agrees_with_a_loop():
    polygon = np.array([(0.0, 0.0), (3.0, -0.5), (2.2, 1.7), (1.0, 0.8), (-0.4, 2.0)])  # with an inward corner
    random = np.random.default_rng(3)
    u, v = random.uniform(-1, 4, 57), random.uniform(-1, 3, 57)
    expected = [naive_distance(polygon, *point) for point in zip(u, v, strict=True)]
    np.testing.assert_allclose(distance(polygon, u, v), expected, atol=1e-12)
    table = tabulate([(*corner, 0.0) for corner in polygon], margin=1.5, step=0.02)
    np.testing.assert_allclose(table(u, v), expected, atol=0.02)


def test_a_rounded_box_and_a_fillet():
    u, v = np.array([0.0, 3.0, 2.0, 2.0 + 3.0]), np.array([0.0, 0.0, 1.0, 1.0 + 4.0])
    np.testing.assert_allclose(rounded_box(u, v, (0, 0), (2, 1), 0.0), [-1.0, 1.0, 0.0, 5.0])
    corners = fillet([(0, 0, 0.3), (2, 0, 0.0), (2, 1, 0.0)])
    assert not np.any(np.all(corners == (0, 0), axis=1))  # the rounded corner is gone, the sharp ones are there
    assert np.any(np.all(corners == (2, 0), axis=1)) and np.any(np.all(corners == (2, 1), axis=1))


def area(surface: Surface, label: str) -> float:
    corners = surface.points[surface.pick(label).faces]
    return float(
        np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
    )


def square(count: int = 23) -> Surface:
    """The unit square in x and z, facing −y."""
    x, z = np.meshgrid(np.linspace(0, 1, count), np.linspace(0, 1, count), indexing="ij")
    points = np.stack([x, 0 * x, z], -1).reshape(-1, 3)
    return one_label(points, grid_faces(count, count), "plain")


def test_a_cut_follows_its_line_and_loses_nothing():
    s = square().carve(lambda x, y, z: x + 0.5 * z - 0.7, "left")
    assert area(s, "left") == pytest.approx(0.7 - 0.25, abs=1e-9)  # a straight line is cut exactly
    s = s.carve(lambda x, y, z: np.hypot(x - 0.5, z - 0.5) - 0.31, "disc", ("left",))
    field = np.hypot(s.points[:, 0] - 0.5, s.points[:, 2] - 0.5) - 0.31
    disc = s.faces[s.face_labels == s.labels.index("disc")]
    assert (field[disc] < 1e-9).all()  # a chord never leaves the disc
    assert sum(area(s, label) for label in s.labels) == pytest.approx(1.0, abs=1e-9)
    both = area(square().carve(lambda x, y, z: np.hypot(x - 0.5, z - 0.5) - 0.31, "disc"), "disc")
    assert both == pytest.approx(np.pi * 0.31**2, rel=0.01)
    assert area(s, "plain") == pytest.approx(1 - 0.45, abs=1e-9)  # `only` kept the disc out of here


def test_cut_faces_keep_their_side():
    s = square().carve(lambda x, y, z: x - 0.513, "left")
    corners = s.points[s.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (normals[:, 1] <= 1e-12).all()
    assert (s.mirror().normals[:, 1] >= 0).all()


def volume(s: Surface) -> float:
    """By the divergence theorem: positive only if all faces show outwards."""
    a, b, c = (s.points[s.faces[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def test_solids_are_closed_and_face_outwards():
    ball = from_solid(lambda x, y, z: np.sqrt(x * x + y * y + z * z) - 1, np.full(3, -1.2), np.full(3, 1.2), 0.07, "b")
    assert volume(ball) == pytest.approx(4 / 3 * np.pi, rel=0.01)
    np.testing.assert_allclose(
        ball.normals, ball.points / np.linalg.norm(ball.points, axis=1, keepdims=True), atol=0.02
    )
    assert volume(box((3, 1, 2), (0.5, 0.3, 0.7), "x", bevel=1e-6)) == pytest.approx(0.105, rel=1e-3)
    assert volume(tube([(0, 0, 0), (2, 0, 0)], 0.1, "x", sides=48)) == pytest.approx(2 * np.pi * 0.01, rel=0.01)
    ring = lathe([(0.2, 0.0), (0.4, 0.0), (0.4, 0.3), (0.2, 0.3), (0.2, 0.0)], "x", 90)
    assert abs(volume(ring)) == pytest.approx(np.pi * (0.16 - 0.04) * 0.3, rel=0.01)
    flat = sheet((1, 2, 3), (2, 0, 0), (0, 0, 1), "x")
    assert area(flat, "x") == pytest.approx(2.0) and (flat.normals[:, 1] > 0.99).all()


def test_smooth_union_is_the_union_away_from_the_joint():
    a, b = np.array([1.0, -2.0, 0.1]), np.array([3.0, 5.0, 0.1])
    np.testing.assert_allclose(smooth_union(a, b, 0.2), [1.0, -2.0, 0.1 - 0.2 / 4])


@pytest.mark.parametrize("name", SIGNS)
def test_signs_have_about_their_size(name: str):
    u, v = np.meshgrid(np.linspace(-2, 2, 301), np.linspace(-2, 2, 301), indexing="ij")
    inside = sign(name, u, v, 0.8) < 0
    assert 0.1 < inside.mean() * 16 / (np.pi * 0.8**2) < 1.2
    assert not inside[np.hypot(u, v) > 1.6 * 0.8].any()


def test_the_fleet_is_sixty_pairs_of_twins_in_twenty_classes():
    assert [v.identity for v in FLEET] == list(range(1, 121))
    assert Counter(v.split for v in FLEET) == {"train": 80, "test": 40}
    for one, two in zip(FLEET[::2], FLEET[1::2], strict=True):
        assert replace(one, identity=two.identity, present=two.present) == two and one.present != two.present
    assert len({entry.label for entry in MODELS}) == 20
    per_class = Counter((v.model, v.split) for v in FLEET)
    assert all(per_class[model, "train"] == 4 and per_class[model, "test"] == 2 for model in range(20))
    assert fleet() == FLEET


def test_details_fit_their_bodies():
    for v in FLEET:
        names = (v.differs, *v.accessories)
        assert len(set(names)) == len(names), "a vehicle has a detail once"
        assert all(v.kind.kind in DETAILS[name][1] for name in names)
        assert all(NEEDS[name] in v.accessories for name in names if name in NEEDS)
        assert v.colour in COLOURS
    assert {v.differs for v in FLEET} == DETAILS.keys()
    assert max(Counter(v.differs for v in FLEET).values()) <= 2 * 4


CHOSEN = {v.differs: v.identity for v in FLEET if v.identity % 2}  # a pair for each kind of difference


@pytest.mark.parametrize("differs", ["mirror", "wheel cover", "roof box", "decal", "dent", "air unit"])
def test_twins_differ_in_one_part_only(differs: str):
    pair = FLEET[CHOSEN[differs] - 1 : CHOSEN[differs] + 1]
    surfaces, ghosts = zip(*(whole(build(v)) for v in pair), strict=True)
    kept = []
    for surface in surfaces:
        marked = np.array([label.endswith("*") for label in surface.labels])[surface.face_labels]
        assert {surface.labels[k].rstrip("*").split("/")[0] for k in np.unique(surface.face_labels)} <= set(PARTS)
        kept.append(unmarked(surface, marked))
    mounted = ghosts[0] is not None or ghosts[1] is not None
    lacks = 1 - [v.present for v in pair].index(True)
    if mounted:  # the twin that lacks it has a ghost, equal to what the other one has
        assert ghosts[1 - lacks] is None
        own = surfaces[1 - lacks]
        stars = [label for label in own.labels if label.endswith("*")]
        assert sum(area(own, label) for label in stars) == pytest.approx(
            sum(area(ghosts[lacks], label) for label in ghosts[lacks].labels)
        )
    assert kept[0].keys() == kept[1].keys()
    for label, size in kept[0].items():  # every other part has the same area
        assert size == pytest.approx(kept[1][label], rel=1e-3 if differs == "dent" else 1e-6)
    assert build(pair[0]).surface.points.tobytes() == build(pair[0]).surface.points.tobytes()


def unmarked(surface: Surface, marked: np.ndarray) -> dict[str, float]:
    rest = replace(surface, faces=surface.faces[~marked], face_labels=surface.face_labels[~marked])
    return {label: size for label in rest.labels if (size := area(rest, label)) > 1e-9}


def test_join_keeps_labels():
    one, two = square(5), square(4).carve(lambda x, y, z: x - 0.5, "left")
    joined = join([one, two])
    assert joined.labels == ("plain", "left")
    assert area(joined, "left") == pytest.approx(0.5) and area(joined, "plain") == pytest.approx(1.5)
