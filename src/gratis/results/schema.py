"""The schema of ``results.json``: what one run measured, on what, and at what cost."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from gratis.files import read_json, write_text
from gratis.settings import Line, Settings, validate

# Share of the images that are classified correctly, in [0, 1].
Accuracy = Annotated[float, Field(ge=0, le=1)]

# The metrics in the order in which tables show them.
METRICS = ("clean", "geometric", "fgsm_transfer", "transfer", "fgsm", "pgd")


class Paper(Settings):
    """What the paper's Table 1 gives for a row, in percent; ``None`` where it gives nothing."""

    geometric: float | None = None
    fgsm_transfer: float | None = None


class TaskResult(Settings):
    """One task of a suite: what it found, and how.

    Attributes:
        name: the metric that it gives.
        accuracy: the share of all images that stood it. A task of a cascade counts those that
            stood every earlier task of its threat too.
        threat: the metric that is the worst case over its tasks; ``curve`` for accuracy against
            epsilon; empty for what is no attack.
        standalone: whether it faced all images that are right without an attack, or only those that
            earlier tasks of its threat had left.
        images: on how many images it was held.
        settings: how it was held: the attack, or the kind of corruption.
    """

    name: str
    accuracy: Accuracy
    threat: str
    standalone: bool
    images: int
    settings: dict[str, Any]


class Check(Settings):
    """One sanity check: whether an accuracy under attack can be believed.

    Attributes:
        name: what was looked for.
        passed: whether the model shows no sign of it.
        figures: what was found, by name; shares in [0, 1] unless the name says otherwise.
        rule: when the check fails, and why there.
        advice: what to do if it fails, in one sentence.
        images: on how many images it was held.
    """

    name: Line
    passed: bool
    figures: dict[str, float]
    rule: Line
    advice: Line
    images: Annotated[int, Field(ge=0)]


class Results(Settings):
    """What one run measured.

    Accuracies are shares in [0, 1] over ``n`` validation images; ``epsilon`` is the L-infinity
    budget of every attack, in [0, 1] units of pixel value; ``resolved`` is the whole recipe.

    ``robust`` is the worst case over all L-infinity attacks of ``suite``, image by image,
    ``robust_l2`` that over its L2 attacks, ``geometric_worst`` that over random positions, and
    ``corruptions`` the mean over all kinds and severities; ``None`` where the suite has none.
    ``checks`` say whether these figures can be believed, in the suites beyond ``table``. A model
    that was made elsewhere has 0 ``passes``, ``epochs`` and ``seconds``.
    """

    recipe: Line
    title: Line
    seed: int
    baseline: bool = False
    reference: bool = False
    paper: Paper = Paper()

    clean: Accuracy
    geometric: Accuracy
    transfer: Accuracy | None = None
    fgsm_transfer: Accuracy | None = None
    fgsm: Accuracy | None = None
    pgd: Accuracy | None = None

    suite: str = "table"
    robust: Accuracy | None = None
    robust_l2: Accuracy | None = None
    geometric_worst: Accuracy | None = None
    corruptions: Accuracy | None = None
    tasks: tuple[TaskResult, ...] = ()
    checks: tuple[Check, ...] = ()

    n: Annotated[int, Field(gt=0)]
    classes: Annotated[int, Field(gt=1)]
    epsilon: Annotated[float, Field(ge=0, le=1)]
    pgd_steps: int

    data: Line
    train_images: int
    backbone: Line
    parameters: int
    image_size: int
    input_size: int

    passes: float
    epochs: float
    seconds: float
    device: Line
    commit: str | None = None
    resolved: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)

    @property
    def curve(self) -> list[tuple[float, float]]:
        """Accuracy under PGD against epsilon, in [0, 1] units, from 0 on; empty if not drawn."""
        points = [
            (float(task.settings["attack"]["epsilon"]), task.accuracy)
            for task in self.tasks
            if task.threat == "curve"
        ]
        return [(0.0, self.clean), *points] if points else []

    @property
    def external(self) -> bool:
        """Whether the model was made elsewhere, so that nothing is known of its training."""
        return not self.passes

    @property
    def failed_checks(self) -> list[Check]:
        """The sanity checks that the model failed."""
        return [check for check in self.checks if not check.passed]

    def write(self, path: Path) -> None:
        """Write the results as JSON, all or nothing."""
        write_text(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Read ``results.json``.

        Raises:
            GratisError: the file is missing, or does not follow the schema.
        """
        return validate(cls, read_json(path), f"{path} (delete it and evaluate again)")


def collapsed(fgsm: float | None, pgd: float | None) -> bool:
    """Return whether two accuracies, in [0, 1], show catastrophic overfitting.

    A model that has learned to withstand single steps only looks robust under FGSM and is not
    (Wong, Rice and Kolter 2020). The rule: PGD accuracy is more than 15 points below FGSM
    accuracy, and less than half of it. What was not measured shows nothing.
    """
    if fgsm is None or pgd is None:
        return False
    return fgsm - pgd > 0.15 and pgd < fgsm / 2
