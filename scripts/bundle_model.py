"""Make a model that comes with gratis from a finished run: its weights in 16 bits, measured anew.

    python scripts/bundle_model.py RUN NAME [DELTAS]       # -> src/gratis/models/NAME

The results and the card are those of the 16-bit weights. The log of the training is kept for the
page of ``gratis play``, and so is delta at several epochs: DELTAS is a folder of safetensors files,
each with ``adversary.delta`` and the metadata of a checkpoint of the run.
"""

import json
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from safetensors import safe_open
from torch import nn

from gratis.results.arrays import save_arrays
from gratis.run.evaluation import measure_run
from gratis.run.folder import WEIGHTS, RunFolder
from gratis.run.loading import load_classifier
from gratis.run.shared_folder import write_manifest
from gratis.run.sharing import stage
from gratis.training import checkpoint_file
from gratis.training.checkpoint import save_weights

MODELS = Path(__file__).parent.parent / "src" / "gratis" / "models"
LICENCE = "other"
_SHOWN_DELTAS = 6


def main(run: Path, name: str, deltas: Path | None = None) -> None:
    """Write the folder of one model."""
    with TemporaryDirectory() as temporary:
        rounded = Path(temporary) / "run"
        _write_rounded(run, rounded)
        results = measure_run(rounded, RunFolder(run).sets_note.sets())
        folder = MODELS / name
        shutil.rmtree(folder, ignore_errors=True)
        stage(rounded, name, LICENCE, folder)
    _halve(folder / WEIGHTS)
    write_manifest(folder, name, LICENCE)
    _copy_log(run / "metrics.jsonl", folder / "metrics.jsonl")
    if deltas is not None:
        _write_deltas(deltas, folder / "deltas.safetensors", RunFolder(run))
    print(results)


def _write_rounded(run: Path, folder: Path) -> None:
    """Write a finished run with the weights of ``run``, rounded to bfloat16."""
    model, position, recipe, info = load_classifier(run)
    folder.mkdir()
    shutil.copyfile(run / "recipe.yaml", folder / "recipe.yaml")
    info.write(folder / "data.json")
    save_weights(
        folder / "checkpoint.safetensors", _rounded(model), position, recipe.identity(info)
    )


def _rounded(model: nn.Module) -> nn.Module:
    state = model.state_dict()
    model.load_state_dict(
        {k: v.bfloat16() if v.is_floating_point() else v for k, v in state.items()}
    )
    return model


def _halve(weights: Path) -> None:
    """Store the weights, which are rounded already, in half of the space."""
    tensors, metadata = checkpoint_file.read(weights)
    weights.unlink()
    halved = {k: v.bfloat16() if v.is_floating_point() else v for k, v in tensors.items()}
    for key, value in halved.items():
        if not torch.equal(value.to(tensors[key].dtype), tensors[key]):
            raise ValueError(f"{key}: is not rounded")
    checkpoint_file.write(weights, halved, metadata)


def _copy_log(log: Path, target: Path) -> None:
    """Keep the epochs of a log, and of its steps at most 200."""
    lines = log.read_text().splitlines()
    steps = [line for line in lines if '"kind": "step"' in line]
    kept = set(steps[:: 1 + len(steps) // 200])
    others = [line for line in lines if line in kept or '"kind": "step"' not in line]
    target.write_text("\n".join(others) + "\n")


def _write_deltas(deltas: Path, target: Path, run: RunFolder) -> None:
    """Write one image's delta at several epochs; full scale is its largest value then."""
    found = [_delta(file) for file in sorted(deltas.glob("*.safetensors"))]
    chosen = [found[i] for i in np.linspace(0, len(found) - 1, _SHOWN_DELTAS).round().astype(int)]
    images = run.data().train_images
    save_arrays(
        target,
        {
            "epochs": np.array([passes / images for passes, _ in chosen]),
            "deltas": np.stack([_pixels(delta) for _, delta in chosen]),
        },
    )


def _delta(file: Path) -> tuple[float, torch.Tensor]:
    with safe_open(file, "pt") as opened:
        position = json.loads(opened.metadata()["position"])
        return position["passes"], opened.get_tensor("adversary.delta")[0, 0]


def _pixels(delta: torch.Tensor) -> np.ndarray:
    largest = delta.abs().max().clamp(min=1e-12)
    scaled = (128 + 127 * delta / largest).round().permute(1, 2, 0)
    return scaled.numpy().astype(np.uint8)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]) if len(sys.argv) > 3 else None)
