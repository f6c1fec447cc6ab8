"""What stands around: grounds, walls, trees, containers, rails, lamps, as coarse meshes, and skies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy
import numpy as np

from tools.yard.material import Colour, node, principled
from tools.yard.outline import Numbers
from tools.yard.surface import Array


def polygons(
    collection: Any,
    name: str,
    points: Sequence[Any] | Array,
    faces: Sequence[Any],
    material: Any,
    uv: Array | None = None,
    smooth: bool = False,
) -> Any:
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata([tuple(map(float, p)) for p in points], [], [tuple(map(int, f)) for f in faces])
    mesh.materials.append(material)
    if uv is not None:
        layer = mesh.uv_layers.new()
        layer.uv.foreach_set("vector", np.asarray(uv, np.float32).ravel())
    if smooth:
        mesh.polygons.foreach_set("use_smooth", np.ones(len(mesh.polygons), bool))
    made = bpy.data.objects.new(name, mesh)
    collection.objects.link(made)
    return made


def slab(collection: Any, low: Numbers, high: Numbers, material: Any) -> Any:
    """A box from corner to corner."""
    points = [(x, y, z) for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])]
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    return polygons(collection, "slab", points, faces, material)


def wall(collection: Any, start: Numbers, end: Numbers, height: float, material: Any, base: float = 0.0) -> Any:
    """An upright rectangle whose texture coordinates are metres."""
    length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
    points = [(*start, base), (*end, base), (*end, height), (*start, height)]
    return polygons(
        collection,
        "wall",
        points,
        [(0, 1, 2, 3)],
        material,
        np.array([[0, 0], [length, 0], [length, height], [0, height]]),
    )


def ground(
    collection: Any,
    colour: Colour,
    other: Colour,
    roughness: float,
    scale: float,
    wet: float = 0.0,
    size: float = 150.0,
) -> Any:
    """A plain of two mottled colours; `wet` (0 to 1) is the share of puddles."""
    material = principled("ground", colour, roughness=roughness)
    link, shader = material.node_tree.links.new, material.node_tree.nodes["Principled BSDF"]
    place = node(material, "ShaderNodeTexCoord")
    noise = node(material, "ShaderNodeTexNoise")
    noise.inputs["Scale"].default_value, noise.inputs["Detail"].default_value = scale, 6.0
    noise.inputs["Roughness"].default_value = 0.65
    link(place.outputs["Object"], noise.inputs["Vector"])
    ramp = node(material, "ShaderNodeValToRGB")
    ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[1].position = 0.35, 0.65
    ramp.color_ramp.elements[0].color, ramp.color_ramp.elements[1].color = (*colour, 1), (*other, 1)
    link(noise.outputs[0], ramp.inputs[0])
    link(ramp.outputs[0], shader.inputs["Base Color"])
    if wet:
        spots = node(material, "ShaderNodeTexNoise")
        spots.inputs["Scale"].default_value = 0.35
        link(place.outputs["Object"], spots.inputs["Vector"])
        gloss = node(material, "ShaderNodeMapRange")
        for index, value in enumerate((0.62 - 0.3 * wet, 0.72 - 0.3 * wet, 0.32, 0.04)):
            gloss.inputs[index + 1].default_value = value
        link(spots.outputs[0], gloss.inputs[0])
        link(gloss.outputs[0], shader.inputs["Roughness"])
    corners = [(-size, -size, 0), (size, -size, 0), (size, size, 0), (-size, size, 0)]
    return polygons(collection, "ground", corners, [(0, 1, 2, 3)], material)


def facade(
    wall_colour: Colour, glass_colour: Colour, width: float, height: float, gap: float, glow: float = 0.0
) -> Any:
    """Rows of windows: a brick pattern whose bricks are panes and whose mortar is the wall."""
    material = principled("facade", wall_colour, roughness=0.8)
    link, shader = material.node_tree.links.new, material.node_tree.nodes["Principled BSDF"]
    place = node(material, "ShaderNodeTexCoord")
    brick = node(material, "ShaderNodeTexBrick", offset=0.0, squash=1.0)
    brick.inputs["Color1"].default_value = (*glass_colour, 1)
    brick.inputs["Color2"].default_value = (*(0.35 * c for c in glass_colour), 1)
    brick.inputs["Mortar"].default_value = (*wall_colour, 1)
    brick.inputs["Scale"].default_value = 1.0
    brick.inputs["Mortar Size"].default_value = gap
    brick.inputs["Brick Width"].default_value, brick.inputs["Row Height"].default_value = width, height
    link(place.outputs["UV"], brick.inputs["Vector"])
    link(brick.outputs["Color"], shader.inputs["Base Color"])
    if glow:
        shader.inputs["Emission Strength"].default_value = glow
        lit = node(material, "ShaderNodeMixRGB", blend_type="MULTIPLY")
        lit.inputs[0].default_value = 1.0
        invert = node(material, "ShaderNodeMath", operation="SUBTRACT")
        invert.inputs[0].default_value = 1.0
        link(brick.outputs["Fac"], invert.inputs[1])
        link(brick.outputs["Color"], lit.inputs[1])
        link(invert.outputs[0], lit.inputs[2])
        link(lit.outputs[0], shader.inputs["Emission Color"])
    return material


def mottled(colour: Colour, other: Colour, scale: float) -> Any:
    """Leaves, stone: two colours in noise."""
    material = principled("mottled", colour, roughness=0.9)
    link = material.node_tree.links.new
    noise = node(material, "ShaderNodeTexNoise")
    noise.inputs["Scale"].default_value, noise.inputs["Detail"].default_value = scale, 3.0
    place = node(material, "ShaderNodeTexCoord")
    link(place.outputs["Object"], noise.inputs["Vector"])
    ramp = node(material, "ShaderNodeValToRGB")
    ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[1].position = 0.4, 0.6
    ramp.color_ramp.elements[0].color, ramp.color_ramp.elements[1].color = (*colour, 1), (*other, 1)
    link(noise.outputs[0], ramp.inputs[0])
    link(ramp.outputs[0], material.node_tree.nodes["Principled BSDF"].inputs["Base Color"])
    return material


def crown(
    random: np.random.Generator, rings: int = 9, segments: int = 14, rough: float = 0.22
) -> tuple[Array, list[tuple[int, int, int, int]]]:
    """A lumpy ball of radius 1: points and quads."""
    theta, phi = np.meshgrid(
        np.linspace(0.05, np.pi - 0.05, rings), np.linspace(0, 2 * np.pi, segments, endpoint=False), indexing="ij"
    )
    radius = 1 + rough * random.standard_normal(theta.shape)
    points = np.stack(
        [radius * np.sin(theta) * np.cos(phi), radius * np.sin(theta) * np.sin(phi), radius * np.cos(theta)], -1
    )
    faces = [
        (
            i * segments + j,
            i * segments + (j + 1) % segments,
            (i + 1) * segments + (j + 1) % segments,
            (i + 1) * segments + j,
        )
        for i in range(rings - 1)
        for j in range(segments)
    ]
    return points.reshape(-1, 3), faces


def tree(
    collection: Any,
    random: np.random.Generator,
    x: float,
    y: float,
    height: float,
    leaves: Any,
    bark: Any,
    bare: bool = False,
) -> None:
    trunk = 0.035 * height * (0.6 if bare else 1)
    ring = [(np.cos(a), np.sin(a)) for a in np.linspace(0, 2 * np.pi, 7)[:-1]]
    lean = random.normal(0, 0.03, 2) * height
    points = [(x + trunk * c, y + trunk * s, 0.0) for c, s in ring]
    points += [
        (x + lean[0] + 0.4 * trunk * c, y + lean[1] + 0.4 * trunk * s, height * (0.95 if bare else 0.6))
        for c, s in ring
    ]
    polygons(collection, "trunk", points, [(i, (i + 1) % 6, 6 + (i + 1) % 6, 6 + i) for i in range(6)], bark)
    if bare:
        return
    points, faces = [], []
    for _ in range(26):
        ball, quads = crown(random, 6, 9, 0.3)
        direction = random.standard_normal(3)
        centre = 0.2 * height * random.random() ** 0.4 * direction / np.linalg.norm(direction)
        faces += [tuple(corner + 54 * len(points) for corner in quad) for quad in quads]
        points.append(ball * height * random.uniform(0.05, 0.11) + centre + np.array([x, y, 0.7 * height]))
    polygons(collection, "crown", np.concatenate(points), faces, leaves, smooth=True)


def hedge(
    collection: Any,
    random: np.random.Generator,
    start: Numbers,
    end: Numbers,
    height: float,
    leaves: Any,
) -> None:
    count = int(np.hypot(end[0] - start[0], end[1] - start[1]) / (0.4 * height)) + 1
    for t in np.linspace(0, 1, count):
        ball, faces = crown(random, 7, 10, 0.3)
        centre = (start[0] + t * (end[0] - start[0]), start[1] + t * (end[1] - start[1]), 0.45 * height)
        polygons(
            collection,
            "hedge",
            ball * height * np.array([0.8, 0.8, 0.6]) * random.uniform(0.85, 1.15) + np.array(centre),
            faces,
            leaves,
            smooth=True,
        )


def rail(collection: Any, start: Numbers, end: Numbers, material: Any) -> None:
    """A guard rail on posts."""
    wall(collection, start, end, 0.78, material, 0.45)
    steps = int(np.hypot(end[0] - start[0], end[1] - start[1]) / 2.5)
    for t in np.linspace(0, 1, steps):
        x, y = start[0] + t * (end[0] - start[0]), start[1] + t * (end[1] - start[1])
        slab(collection, (x - 0.05, y - 0.05, 0), (x + 0.05, y + 0.05, 0.75), material)


def stripe(
    collection: Any, x: tuple[float, float], y: tuple[float, float], material: Any, height: float = 0.006
) -> None:
    """A marking on the ground."""
    points = [(x[0], y[0], height), (x[1], y[0], height), (x[1], y[1], height), (x[0], y[1], height)]
    polygons(collection, "marking", points, [(0, 1, 2, 3)], material)


def sky(
    name: str, horizon: Colour, zenith: Colour, strength: float, clouds: float = 0.0, below: Colour = (0.1, 0.1, 0.1)
) -> Any:
    """A world: ground colour below, horizon to zenith above, `clouds` (0 to 1) mixed in."""
    world = bpy.data.worlds.new(name)
    world.use_nodes = True
    link, back = world.node_tree.links.new, world.node_tree.nodes["Background"]
    back.inputs[1].default_value = strength
    place = node(world, "ShaderNodeTexCoord")
    axes = node(world, "ShaderNodeSeparateXYZ")
    link(place.outputs["Generated"], axes.inputs[0])
    ramp = node(world, "ShaderNodeValToRGB")
    stops = ramp.color_ramp.elements
    stops[0].position, stops[0].color = 0.0, (*below, 1)
    stops[1].position, stops[1].color = 1.0, (*zenith, 1)
    for position, colour in (
        (0.495, below),
        (0.505, horizon),
        (0.62, tuple(0.5 * (a + b) for a, b in zip(horizon, zenith, strict=True))),
    ):
        stop = stops.new(position)
        stop.color = (*colour, 1)
    scaled = node(world, "ShaderNodeMath", operation="MULTIPLY_ADD")
    scaled.inputs[1].default_value, scaled.inputs[2].default_value = 0.5, 0.5
    link(axes.outputs["Z"], scaled.inputs[0])
    link(scaled.outputs[0], ramp.inputs[0])
    if not clouds:
        link(ramp.outputs[0], back.inputs[0])
        return world
    noise = node(world, "ShaderNodeTexNoise")
    noise.inputs["Scale"].default_value, noise.inputs["Detail"].default_value = 3.0, 5.0
    link(place.outputs["Generated"], noise.inputs["Vector"])
    cover = node(world, "ShaderNodeMapRange")
    for index, value in enumerate((0.48, 0.68, 0.0, clouds)):
        cover.inputs[index + 1].default_value = value
    link(noise.outputs[0], cover.inputs[0])
    above = node(world, "ShaderNodeMath", operation="MULTIPLY")
    link(cover.outputs[0], above.inputs[0])
    rise = node(world, "ShaderNodeMapRange")
    for index, value in enumerate((0.02, 0.25, 0.0, 1.0)):
        rise.inputs[index + 1].default_value = value
    link(axes.outputs["Z"], rise.inputs[0])
    link(rise.outputs[0], above.inputs[1])
    mixed = node(world, "ShaderNodeMixRGB")
    mixed.inputs[2].default_value = (*(min(1.0, 1.15 * max(horizon)) for _ in range(3)), 1)
    link(above.outputs[0], mixed.inputs[0])
    link(ramp.outputs[0], mixed.inputs[1])
    link(mixed.outputs[0], back.inputs[0])
    return world
