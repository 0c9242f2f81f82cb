"""The geometric attack: the worst of k random rotations and shifts (Engstrom et al. 2019)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as transforms

from gratis.data.batches import to_float
from gratis.evaluation.evaluated_model import EvaluatedModel, Outcome
from gratis.evaluation.tasks import EvalTask
from gratis.seeds import generator
from gratis.torch_state import one_thread


class WorstOfK(EvalTask):
    """An image is fooled if one of ``draws`` random positions of it is misclassified.

    A position is a rotation by up to ``degrees`` either way and a shift by up to ``shift`` of the
    side along both axes, by torchvision, bilinear and padded with black; the defaults are the
    paper's (section 4). It depends on the seed, the number of the draw and the image alone.
    """

    draws: int = 10
    degrees: float = 30.0
    shift: float = 0.1

    @property
    def cost(self) -> float:
        """One pass a draw."""
        return self.draws

    def run(self, evaluated: EvaluatedModel, index: NDArray[np.int64]) -> Outcome:
        """Try positions until the model is fooled."""
        correct = np.ones(len(index), dtype=np.bool_)
        for draw in range(self.draws):
            rows = np.flatnonzero(correct)
            if len(rows) == 0:
                break
            moved = np.stack([self._moved(evaluated, draw, i) for i in index[rows].tolist()])
            labels = evaluated.batch_at(index[rows]).labels
            survives = evaluated.is_correct(to_float(moved, evaluated.device), labels)
            correct[rows] = survives.cpu().numpy()
        return Outcome(correct)

    def _moved(self, evaluated: EvaluatedModel, draw: int, index: int) -> NDArray[np.uint8]:
        source = generator("cpu", evaluated.seed, "worst of k", draw, index)
        angle, across, down = (2 * torch.rand(3, generator=source, device="cpu") - 1).tolist()
        image = np.array(evaluated.split.images[index])
        height, width = image.shape[:2]
        with one_thread():
            moved = transforms.affine(
                torch.from_numpy(image).permute(2, 0, 1),
                angle=angle * self.degrees,
                translate=[across * self.shift * width, down * self.shift * height],
                scale=1.0,
                shear=[0.0, 0.0],
                interpolation=InterpolationMode.BILINEAR,
            )
        result: NDArray[np.uint8] = moved.permute(1, 2, 0).contiguous().numpy()
        return result
