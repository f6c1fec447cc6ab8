"""The yard's generator: vehicles, scenes and photographs of them, by Blender's Python module (the `yard` extra)."""
