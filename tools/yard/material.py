"""Materials: car paint, glass, rubber, chrome, lamps and grounds, as Blender's nodes."""

from __future__ import annotations

from typing import Any

import bpy

Colour = tuple[float, float, float]


def principled(name: str, colour: Colour, **inputs: Any) -> Any:
    """A new material of one Principled BSDF; keyword arguments name its inputs ("coat_weight" → Coat Weight)."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    shader = material.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (*colour, 1.0)
    for key, value in inputs.items():
        shader.inputs[key.replace("_", " ").title().replace("Ior", "IOR")].default_value = value
    return material


def node(material: Any, kind: str, **settings: Any) -> Any:
    made = material.node_tree.nodes.new(kind)
    for key, value in settings.items():
        setattr(made, key, value)
    return made


def paint(name: str, colour: Colour, metallic: float, dirt: float, seed: float) -> Any:
    """Lacquered paint; mud rises from the sills and lies in patches as `dirt` (0 to 1) says. Dark seen from inside."""
    material = principled(name, colour, metallic=metallic, roughness=0.42, coat_weight=0.9, coat_roughness=0.04)
    tree, link = material.node_tree, material.node_tree.links.new
    shader, output = tree.nodes["Principled BSDF"], tree.nodes["Material Output"]
    place = node(material, "ShaderNodeTexCoord")
    noise = node(material, "ShaderNodeTexNoise", noise_dimensions="4D")
    noise.inputs["Scale"].default_value, noise.inputs["W"].default_value = 2.5, seed
    noise.inputs["Detail"].default_value = 4.0
    link(place.outputs["Object"], noise.inputs["Vector"])
    axes = node(material, "ShaderNodeSeparateXYZ")
    link(place.outputs["Object"], axes.inputs[0])
    height = node(material, "ShaderNodeMapRange")
    for index, value in enumerate((0.2, 0.75, 1.0, 0.0)):
        height.inputs[index + 1].default_value = value
    link(axes.outputs["Z"], height.inputs[0])
    total = node(material, "ShaderNodeMath", operation="MULTIPLY_ADD")
    total.inputs[1].default_value = 0.75
    link(height.outputs[0], total.inputs[0])
    link(noise.outputs[0], total.inputs[2])
    amount = node(material, "ShaderNodeMapRange")
    for index, value in enumerate((1.25 - 0.75 * dirt, 1.6 - 0.75 * dirt, 0.0, 0.85 if dirt > 0.02 else 0.0)):
        amount.inputs[index + 1].default_value = value
    link(total.outputs[0], amount.inputs[0])
    mud = node(material, "ShaderNodeBsdfDiffuse")
    mud.inputs[0].default_value = (0.16, 0.115, 0.075, 1)
    mixed = node(material, "ShaderNodeMixShader")
    link(amount.outputs[0], mixed.inputs[0])
    link(shader.outputs[0], mixed.inputs[1])
    link(mud.outputs[0], mixed.inputs[2])
    inside = node(material, "ShaderNodeMixShader")
    side = node(material, "ShaderNodeNewGeometry")
    dark = node(material, "ShaderNodeBsdfDiffuse")
    dark.inputs[0].default_value = (0.03, 0.03, 0.032, 1)
    link(side.outputs["Backfacing"], inside.inputs[0])
    link(mixed.outputs[0], inside.inputs[1])
    link(dark.outputs[0], inside.inputs[2])
    link(inside.outputs[0], output.inputs[0])
    return material


def glass(name: str, tint: float) -> Any:
    """A pane: mirrors by Fresnel, lets `tint` (0 to 1) of the light straight through."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    tree, link = material.node_tree, material.node_tree.links.new
    tree.nodes.remove(tree.nodes["Principled BSDF"])
    clear, gloss = node(material, "ShaderNodeBsdfTransparent"), node(material, "ShaderNodeBsdfGlossy")
    clear.inputs[0].default_value = (0.85 * tint, 0.95 * tint, 0.92 * tint, 1)
    gloss.inputs["Roughness"].default_value = 0.02
    fresnel, mixed = node(material, "ShaderNodeFresnel"), node(material, "ShaderNodeMixShader")
    fresnel.inputs["IOR"].default_value = 1.55
    link(fresnel.outputs[0], mixed.inputs[0])
    link(clear.outputs[0], mixed.inputs[1])
    link(gloss.outputs[0], mixed.inputs[2])
    link(mixed.outputs[0], tree.nodes["Material Output"].inputs[0])
    return material


def lamp(name: str, colour: Colour, glow: Colour, clear: float = 1.0) -> Any:
    """A lamp's cover; `photograph` sets its emission where the lights are on."""
    material = principled(name, colour, metallic=0.25, roughness=0.18, coat_weight=clear, coat_roughness=0.02)
    material.node_tree.nodes["Principled BSDF"].inputs["Emission Color"].default_value = (*glow, 1)
    return material


STOCK: dict[str, tuple[Colour, dict[str, float]]] = {
    "black": ((0.008, 0.008, 0.009), {"roughness": 0.45}),
    "gloss": ((0.006, 0.006, 0.007), {"roughness": 0.12, "coat_weight": 0.6}),
    "plastic": ((0.022, 0.022, 0.024), {"roughness": 0.62}),
    "liner": ((0.018, 0.018, 0.019), {"roughness": 0.8}),
    "rubber": ((0.013, 0.013, 0.014), {"roughness": 0.85}),
    "chrome": ((0.78, 0.79, 0.80), {"metallic": 1.0, "roughness": 0.12}),
    "alloy": ((0.55, 0.56, 0.58), {"metallic": 0.95, "roughness": 0.28}),
    "anthracite": ((0.05, 0.05, 0.055), {"metallic": 0.7, "roughness": 0.3}),
    "steel": ((0.035, 0.035, 0.037), {"metallic": 0.3, "roughness": 0.5}),
    "silver": ((0.50, 0.51, 0.52), {"metallic": 0.6, "roughness": 0.35}),
    "brake": ((0.16, 0.155, 0.15), {"metallic": 0.8, "roughness": 0.5}),
    "plate": ((0.78, 0.78, 0.75), {"roughness": 0.4}),
    "seat": ((0.06, 0.06, 0.065), {"roughness": 0.8}),
    "beige": ((0.30, 0.25, 0.18), {"roughness": 0.8}),
    "reflector": (
        (0.62, 0.64, 0.66),
        {"metallic": 0.85, "roughness": 0.22, "coat_weight": 1.0, "coat_roughness": 0.02},
    ),
    "red": ((0.40, 0.008, 0.008), {"roughness": 0.2, "coat_weight": 1.0, "coat_roughness": 0.02}),
    "amber": ((0.65, 0.22, 0.01), {"roughness": 0.2, "coat_weight": 1.0, "coat_roughness": 0.02}),
    "white": ((0.75, 0.75, 0.73), {"roughness": 0.35, "coat_weight": 0.3}),
    "primer": ((0.22, 0.215, 0.21), {"roughness": 0.75}),
    "yellow": ((0.75, 0.48, 0.02), {"roughness": 0.4}),
    "orange": ((0.75, 0.16, 0.01), {"roughness": 0.4}),
    "sky": ((0.14, 0.42, 0.72), {"roughness": 0.4}),
    "green": ((0.03, 0.32, 0.08), {"roughness": 0.4}),
    "foil": ((0.62, 0.63, 0.60), {"roughness": 0.5}),
    "beam": ((0.85, 0.86, 0.86), {"metallic": 0.3, "roughness": 0.12}),
    "wood": ((0.22, 0.13, 0.07), {"roughness": 0.8}),
}


def stock(name: str) -> Any:
    """One of the plain materials of STOCK."""
    colour, inputs = STOCK[name]
    return principled(name, colour, **inputs)
