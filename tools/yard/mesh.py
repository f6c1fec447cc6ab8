"""Surfaces as Blender's meshes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy
import numpy as np

from tools.yard.surface import Surface


def to_object(name: str, surface: Surface, material: Callable[[str], Any], collection: Any) -> Any:
    """A new object of `collection`; `material` gives the material of each label that has faces."""
    used, places = np.unique(surface.face_labels, return_inverse=True)
    corners, faces = np.unique(surface.faces, return_inverse=True)
    mesh = bpy.data.meshes.new(name)
    count = len(surface.faces)
    mesh.vertices.add(len(corners))
    mesh.vertices.foreach_set("co", surface.points[corners].astype(np.float32).ravel())
    mesh.loops.add(3 * count)
    mesh.loops.foreach_set("vertex_index", faces.reshape(-1).astype(np.int32))
    mesh.polygons.add(count)
    mesh.polygons.foreach_set("loop_start", np.arange(0, 3 * count, 3, dtype=np.int32))
    for index in used:
        mesh.materials.append(material(surface.labels[index]))
    mesh.polygons.foreach_set("material_index", places.reshape(-1).astype(np.int32))
    mesh.polygons.foreach_set("use_smooth", np.ones(count, bool))
    mesh.update()
    mesh.normals_split_custom_set_from_vertices(surface.normals[corners].astype(np.float32))
    made = bpy.data.objects.new(name, mesh)
    collection.objects.link(made)
    return made
