"""`dcal export`: a checkpoint as one file for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dcal_explorer.cli.parsing import parsed, show_json

DESCRIPTION = """Write a checkpoint as one file: ONNX (.onnx), or a graph of torch.export (.pt2).

It takes `images`, a batch of any size as the checkpoint's preprocessing makes them, and gives `probabilities`,
`embedding` and, with --maps, `rollout`: each patch's contribution to the class token by each layer. The file is written
only if it answers as the checkpoint does. `dcal predict` and `dcal index` take an ONNX file as --checkpoint and run it
by ONNX Runtime. With --inspection the file gives instead what every map of an inspection is made of: `tokens` of the
last block, `queries` and `keys` of all, and `means`, attention averaged over heads; `dcal demo --onnx` runs it.
For ONNX: pip install "dcal[onnx]".

examples:
  dcal export --checkpoint checkpoints/cub50-full --out cub50.onnx
  dcal export --checkpoint checkpoints/cub50-full --out cub50.pt2 --maps
  dcal predict my-images --checkpoint cub50.onnx
  dcal export --checkpoint checkpoints/cub50-full --out cub50-inspection.onnx --inspection
"""


def run(name: str, words: Sequence[str]) -> int:
    return parsed(export, words, name, DESCRIPTION)


def export(checkpoint: str, out: Path, maps: bool = False, inspection: bool = False, json: bool = False) -> int:
    """Export.

    Args:
        checkpoint: a checkpoint directory, or a Hugging Face repository id
        out: the file to write; its ending, .onnx or .pt2, says what
        maps: also give the rollout of every layer
        inspection: instead of answers, give what the demo's inspections need of the backbone
        json: print one JSON object instead of a line
    """
    from dcal.model.checkpoint import fingerprint, load_checkpoint
    from dcal.model.export import CHECKED, OUTPUTS, TOLERANCE
    from dcal.model.export import export as write
    from dcal.model.exported_backbone import OUTPUTS as ENCODED

    model = load_checkpoint(checkpoint)
    path = write(model, out, maps, inspection)
    outputs = list(ENCODED if inspection else OUTPUTS if maps else OUTPUTS[:2])
    size = path.stat().st_size
    if json:
        show_json({"file": str(path), "bytes": size, "outputs": outputs, "fingerprint": fingerprint(model)})
    else:
        batches = " and ".join(map(str, CHECKED))
        print(f"written: {path}, {size / 1e6:.1f} MB, gives {', '.join(outputs)}")
        within = f"{TOLERANCE:g}" + (" of each output's largest value" if inspection else "")
        print(f"checked: batches of {batches} images are answered as by the checkpoint, within {within}")
    return 0
