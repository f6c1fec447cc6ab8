"""A vehicle before a camera: framing, rendering, and the picture and mask that come of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix
from PIL import Image, ImageFilter

from dcal.data.yard_table import MARK, PARTS
from tools.yard import country, material, mesh, town
from tools.yard.assemble import build, coarse, whole
from tools.yard.fleet import COLOURS
from tools.yard.station import STATIONS, Station
from tools.yard.surface import Array
from tools.yard.twins import SEED, Vehicle

SIZE = 256
SCENES = {scene.__name__: scene for scene in (town.street, town.gate, town.dusk, town.harbour)}
SCENES |= {scene.__name__: scene for scene in (country.field, country.rain, country.bridge, country.snow)}
GLOW = {"beam": ((1.0, 0.93, 0.8), 9.0), "red": ((1.0, 0.012, 0.008), 1.5)}


class Studio:
    """Eight scenes in one Blender session, and the vehicle that stands in all of them."""

    def __init__(self, samples: int, threads: int, size: int = SIZE) -> None:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        self.folder = Path(tempfile.mkdtemp(prefix="yard-"))
        self.stock: dict[str, Any] = {}
        self.scenes = [self._scene(station, index, samples, threads, size) for index, station in enumerate(STATIONS)]
        self.made: list[Any] = []
        self.own: dict[str, Any] = {}

    def _scene(self, station: Station, index: int, samples: int, threads: int, size: int) -> Any:
        scene = bpy.data.scenes.new(station.name)
        SCENES[station.name](scene, np.random.default_rng((SEED, 1000 + index)))
        azimuth, elevation, strength, angle = station.sun
        light = bpy.data.lights.new("sun", "SUN")
        light.energy, light.angle, light.color = strength, np.radians(angle), station.tint
        sun = bpy.data.objects.new("sun", light)
        sun.rotation_euler = (0.0, np.radians(90 - elevation), np.radians(azimuth))
        scene.collection.objects.link(sun)
        lens = bpy.data.cameras.new("camera")
        lens.sensor_width = 36.0
        scene.camera = bpy.data.objects.new("camera", lens)
        scene.collection.objects.link(scene.camera)
        _settings(scene, station, samples, threads, size)
        _outputs(scene, station, self.folder)
        return scene

    def place(self, vehicle: Vehicle) -> None:
        """Build a vehicle and put it into every scene, instead of the one before."""
        self.clear()
        made = build(vehicle)
        body, ghost = whole(made)
        self.points = coarse(body)
        self._colours(vehicle)
        for name, surface in (("vehicle", body), ("ghost", ghost)):
            if surface is not None:
                thing = mesh.to_object(name, surface, self._material, self.scenes[0].collection)
                self.made.append(thing)
                for scene in self.scenes[1:]:
                    scene.collection.objects.link(thing)
        self.length = float(np.ptp(self.points[:, 0]))

    def clear(self) -> None:
        for thing in self.made:
            bpy.data.meshes.remove(thing.data)
        for own in self.own.values():
            bpy.data.materials.remove(own)
        self.made, self.own = [], {}

    def _colours(self, vehicle: Vehicle) -> None:
        self.vehicle = vehicle
        random = np.random.default_rng((vehicle.seed, vehicle.pair, 77))
        names = [name for name in COLOURS if name != vehicle.colour]
        self.spare = COLOURS[names[int(random.integers(len(names)))]]
        self.cover = COLOURS[str(random.choice(["white", "white", "silver", "blue", "green", "red", "sand"]))]

    def _material(self, label: str) -> Any:
        """The material of a label "part/stuff", its pass index the part's number."""
        part, stuff = label.removesuffix("*").split("/")
        index = PARTS.index(part) + (MARK if label.endswith("*") else 0)
        shelf = self.own if stuff in ("paint", "spare", "cover", "glass") else self.stock
        if label not in shelf:
            shelf[label] = self._new(stuff)
            shelf[label].pass_index = index
        return shelf[label]

    def _new(self, stuff: str) -> Any:
        v = self.vehicle
        if stuff in ("paint", "spare", "cover"):
            colour, metallic = {"paint": COLOURS[v.colour], "spare": self.spare, "cover": self.cover}[stuff]
            return material.paint(stuff, colour, metallic, v.dirt, float(v.pair))
        if stuff == "glass":
            return material.glass("glass", v.tint)
        if stuff in GLOW:
            return material.lamp(stuff, material.STOCK[stuff][0], GLOW[stuff][0])
        return material.stock(stuff)

    def shoot(self, camera: int) -> tuple[Image.Image, Array]:
        """(picture, mask) of the placed vehicle: mask values as parts.py has them."""
        scene, station = self.scenes[camera], STATIONS[camera]
        random = np.random.default_rng((self.vehicle.seed, self.vehicle.identity, camera))
        self._pose(scene, station, random)
        for label, made in self.stock.items():
            stuff = label.removesuffix("*").split("/")[1]
            if stuff in GLOW:
                lit = station.lights and not label.startswith("lamp bar")
                made.node_tree.nodes["Principled BSDF"].inputs["Emission Strength"].default_value = GLOW[stuff][1] * lit
        for thing in self.made:
            thing.hide_render = thing.name.startswith("ghost")
        samples = scene.cycles.samples
        picture, mask = self._render(scene)
        if any(thing.name.startswith("ghost") for thing in self.made):
            for thing in self.made:
                thing.hide_render = False
            scene.cycles.samples, scene.cycles.use_denoising = 1, False
            with_ghost = self._render(scene)[1]
            scene.cycles.samples, scene.cycles.use_denoising = samples, True
            mask = np.where(with_ghost >= MARK, mask % MARK + MARK, mask)
        return _expose(picture, station, random), mask

    def _render(self, scene: Any) -> tuple[Image.Image, Array]:
        scene.render.filepath = str(self.folder / "picture.png")
        with quiet():
            bpy.ops.render.render(write_still=True, scene=scene.name)
        with Image.open(self.folder / "picture.png") as file:
            picture = file.convert("RGB")
        image = bpy.data.images.load(str(self.folder / f"{scene.name}0001.exr"))
        values = np.empty(image.size[0] * image.size[1] * 4, np.float32)
        image.pixels.foreach_get(values)
        mask = np.rint(values.reshape(image.size[1], image.size[0], 4)[::-1, :, 0]).astype(np.uint8)
        bpy.data.images.remove(image)
        return picture, mask

    def _pose(self, scene: Any, station: Station, random: np.random.Generator) -> None:
        """Turn and shift the vehicle a little, and aim the camera so that the vehicle fills the picture."""
        yaw = np.radians(float(np.clip(random.normal(0, 6), -13, 13)))
        away = np.radians(station.azimuth)
        direction = np.array([np.cos(away), np.sin(away)])
        back = 0.55 * max(0.0, self.length - 4.5)
        shift = np.array([random.normal(0, 0.35), random.normal(0, 0.22)]) - back * direction
        cosine, sine = np.cos(yaw), np.sin(yaw)
        for thing in self.made:
            thing.location, thing.rotation_euler = (*map(float, shift), 0.0), (0.0, 0.0, float(yaw))
        points = self.points @ np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]]) + np.array([*shift, 0])
        eye = np.array([*(station.distance * direction), station.height + random.normal(0, 0.06)])
        frame(scene.camera, eye, points, random)


def frame(camera: Any, eye: Array, points: Array, random: np.random.Generator) -> None:
    """Aim at the points' middle; lens and shift cut a square around them, as loosely as a detector's box would."""
    target = (points.min(0) + points.max(0)) / 2
    back = (eye - target) / np.linalg.norm(eye - target)
    right = np.cross([0, 0, 1.0], back)
    right /= np.linalg.norm(right)
    up = np.cross(back, right)
    rotation = np.stack([right, up, back], 1)
    seen = (points - eye) @ rotation
    flat = seen[:, :2] / -seen[:, 2:]
    low, high = flat.min(0), flat.max(0)
    side = float((high - low).max()) * (1.05 + 0.09 * random.random())
    centre = (low + high) / 2 + side * random.normal(0, 0.012, 2)
    camera.matrix_world = Matrix([[*map(float, rotation[row]), float(eye[row])] for row in range(3)] + [[0, 0, 0, 1]])
    camera.data.lens = 36.0 / side
    camera.data.shift_x, camera.data.shift_y = float(centre[0] / side), float(centre[1] / side)
    camera.data.dof.use_dof = True
    camera.data.dof.focus_distance = float(np.linalg.norm(eye - target))
    camera.data.dof.aperture_fstop = 36.0 / side / 1000 / 0.014  # an opening of 14 mm whatever the lens


def _settings(scene: Any, station: Station, samples: int, threads: int, size: int) -> None:
    scene.render.engine = "CYCLES"
    cycles, render = scene.cycles, scene.render
    cycles.device, cycles.samples, cycles.seed = "CPU", samples, 7
    cycles.use_denoising, cycles.denoiser, cycles.denoising_prefilter = True, "OPENIMAGEDENOISE", "FAST"
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 4, 1, 3
    cycles.transparent_max_bounces, cycles.transmission_bounces = 6, 2
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_indirect, cycles.sample_clamp_direct = 4.0, 30.0
    cycles.use_fast_gi, cycles.ao_bounces_render = True, 1
    cycles.use_adaptive_sampling = False
    render.resolution_x = render.resolution_y = size
    render.threads_mode, render.threads = "FIXED", threads
    render.use_persistent_data = True
    scene.view_settings.view_transform, scene.view_settings.look = "AgX", "AgX - Medium High Contrast"
    scene.view_settings.exposure = station.exposure
    scene.world.cycles.sampling_method, scene.world.cycles.sample_map_resolution = "MANUAL", 128
    scene.world.light_settings.distance = 4.0


def _outputs(scene: Any, station: Station, folder: Path) -> None:
    """Passes: the part of each pixel into a file, and mist over the picture where there is fog."""
    layer = scene.view_layers[0]
    layer.use_pass_material_index, layer.use_pass_mist = True, bool(station.fog)
    scene.use_nodes = True
    tree = scene.node_tree
    tree.nodes.clear()
    source, final = tree.nodes.new("CompositorNodeRLayers"), tree.nodes.new("CompositorNodeComposite")
    source.scene = scene
    file = tree.nodes.new("CompositorNodeOutputFile")
    file.base_path, file.file_slots[0].path = str(folder), scene.name
    file.format.file_format, file.format.color_depth = "OPEN_EXR", "32"
    tree.links.new(source.outputs["IndexMA"], file.inputs[0])
    if not station.fog:
        tree.links.new(source.outputs["Image"], final.inputs[0])
        return
    scene.world.mist_settings.start, scene.world.mist_settings.depth = station.distance - 4.0, 50.0
    scene.world.mist_settings.falloff = "LINEAR"
    amount, mixed = tree.nodes.new("CompositorNodeMath"), tree.nodes.new("CompositorNodeMixRGB")
    amount.operation, amount.inputs[1].default_value = "MULTIPLY", station.fog
    mixed.inputs[2].default_value = (*station.haze, 1)
    smooth = tree.nodes.new("CompositorNodeDenoise")  # at panes the mist of few samples is all grain
    tree.links.new(source.outputs["Mist"], smooth.inputs["Image"])
    tree.links.new(smooth.outputs[0], amount.inputs[0])
    tree.links.new(amount.outputs[0], mixed.inputs[0])
    tree.links.new(source.outputs["Image"], mixed.inputs[1])
    tree.links.new(mixed.outputs[0], final.inputs[0])


def _expose(picture: Image.Image, station: Station, random: np.random.Generator) -> Image.Image:
    """Lens blur and sensor noise of the camera."""
    if station.blur:
        picture = picture.filter(ImageFilter.GaussianBlur(station.blur))
    values = np.asarray(picture, np.float32) / 255
    values = values + random.normal(0, station.grain, values.shape) * (0.6 + 0.4 * (1 - values))
    return Image.fromarray(np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8))


@contextmanager
def quiet() -> Iterator[None]:
    """Blender prints a line a step from C: nothing of it on the terminal."""
    kept, sink = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(sink)
