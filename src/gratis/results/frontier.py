"""The frontier of a hardened run: its models from natural to hardened, and the chosen one."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from gratis.files import write_text
from gratis.json_files import read_json
from gratis.results.expected import expected_accuracy
from gratis.results.schema import Accuracy
from gratis.settings import Line, Settings, validate

FILE = "frontier.json"


class FrontierPoint(Settings, extra="ignore"):
    """One model of the frontier, measured on held-out training images.

    Attributes:
        alpha: the share of the hardened weights; 0 is the natural model, 1 the hardened one.
        curve: pairs of epsilon and accuracy under PGD, from epsilon 0 to the target.
    """

    alpha: Annotated[float, Field(ge=0, le=1)]
    curve: tuple[tuple[Annotated[float, Field(ge=0)], Accuracy], ...]

    @property
    def clean(self) -> float:
        """The accuracy without an attack."""
        return self.curve[0][1]

    @property
    def pgd(self) -> float:
        """The accuracy under PGD at the target."""
        return self.curve[-1][1]

    @property
    def expected(self) -> float:
        """The mean accuracy over all epsilons up to the target."""
        value = expected_accuracy(self.curve, self.curve[-1][0])
        assert value is not None
        return value


class Frontier(Settings, extra="ignore"):
    """The models of a hardened run, from natural to hardened.

    Attributes:
        epsilon: the target, in [0, 1] units of pixel value.
        norm: that of the target.
        pgd_steps: the gradient steps of PGD.
        images: the number of held-out training images.
        keep_clean: the most points of clean accuracy that the chosen model may lose; ``None``
            where the expected accuracy decides.
        points: the models, by rising ``alpha`` from 0.
        chosen: the ``alpha`` of the chosen model.
    """

    epsilon: Annotated[float, Field(ge=0)]
    norm: Line = "linf"
    pgd_steps: int
    images: Annotated[int, Field(gt=0)]
    keep_clean: float | None = None
    points: tuple[FrontierPoint, ...]
    chosen: float

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.norm == "linf" and self.epsilon > 1:
            raise ValueError(f"epsilon ({self.epsilon:g}) must be at most 1 in linf")
        alphas = [point.alpha for point in self.points]
        if alphas != sorted(set(alphas)) or alphas[:1] != [0] or self.chosen not in alphas:
            raise ValueError("needs points by rising alpha from 0, and the chosen one among them")
        if any(len(point.curve) < 2 or point.curve[0][0] != 0 for point in self.points):
            raise ValueError("needs curves from epsilon 0 to the target")
        return self

    @property
    def chosen_point(self) -> FrontierPoint:
        """The chosen model."""
        return next(point for point in self.points if point.alpha == self.chosen)

    def write(self, path: Path) -> None:
        """Write the frontier as JSON, all or nothing."""
        write_text(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Frontier":
        """Read ``frontier.json``."""
        return validate(cls, read_json(path), f"{path} (delete it and resume the run)")


def choose(points: tuple[FrontierPoint, ...], keep_clean: float | None) -> FrontierPoint:
    """Return the model with the highest expected accuracy.

    With ``keep_clean`` it is the one with the highest PGD accuracy of those that lose at most so
    many points of clean accuracy against the natural one, which is the first point.
    """
    if keep_clean is None:
        return max(points, key=lambda point: (point.expected, point.clean))
    # The natural model loses nothing; rounding must not exclude a model that loses just as much.
    least = points[0].clean - keep_clean / 100 - 1e-9
    allowed = [point for point in points if point.clean >= least]
    return max(allowed, key=lambda point: (point.pgd, point.expected, point.clean))
