"""Sample images for tests of the report."""

from pathlib import Path

import numpy as np

from gratis.results import AtEpsilon, Prediction, SampleAttack, SampleImage, SampleImages
from gratis.results.sample_images import FILE, KINDS


def sample_images(name="cat", n=200):
    """Return two sample images of three classes, with every kind of picture."""
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    predictions = dict.fromkeys(KINDS[:3], Prediction(name=name, confidence=0.876))
    return SampleImages(
        classes=("dog", name, "emu"),
        labels=np.arange(n) % 3,
        attack=SampleAttack(
            epsilon=8 / 255, steps=20, restarts=1, random_start=True, loss="cross_entropy"
        ),
        images=[
            SampleImage(
                place,
                ("dog", name)[place],
                dict.fromkeys(KINDS, pixels),
                predictions,
                [AtEpsilon(e / 255, pixels, predictions["clean"]) for e in (0, 4, 8)],
            )
            for place in range(2)
        ],
    )


def store_sample_images(run: Path, *names: str, n: int = 200) -> Path:
    """Write sample images into the folder of a run, and return their file."""
    path = run / "evaluation" / FILE
    sample_images(*names, n=n).save(path)
    return path
