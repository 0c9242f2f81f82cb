"""The schema of ``results.json``."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from gratis.files import read_json, write_text
from gratis.renames import present_names
from gratis.results.overfitting import overfitted
from gratis.settings import Line, Settings, validate

# Share of the images that are classified correctly, in [0, 1].
Accuracy = Annotated[float, Field(ge=0, le=1)]

# The metrics in the order in which tables show them.
METRICS = ("clean", "geometric", "fgsm_transfer", "transfer", "fgsm", "pgd")


class Paper(Settings):
    """The values of a row in the paper's Table 1, in percent; ``None`` where it has none."""

    geometric: float | None = None
    fgsm_transfer: float | None = None


class TaskResult(Settings):
    """The result of one task of a suite.

    Attributes:
        name: the metric that the task measures.
        accuracy: the share of all images that survive. In a cascade, an image also has to survive
            the earlier tasks of the same threat.
        threat: the metric that is the worst case over its tasks; ``curve`` for accuracy against
            epsilon; empty for a task that is no attack.
        standalone: whether the task attacked every image that is correct without an attack, or
            only those that survived the earlier tasks of its threat.
        images: the number of images that the task was run on.
        settings: the settings of the attack, or the kind of corruption.
    """

    name: str
    accuracy: Accuracy
    threat: str
    standalone: bool
    images: int
    settings: dict[str, Any]


class Check(Settings):
    """One sanity check: whether the accuracy under attack is credible.

    Attributes:
        name: the name of the check.
        passed: whether the model passes.
        figures: the measured values, by name; shares in [0, 1] unless the name says otherwise.
        rule: when the check fails, and why.
        advice: what to do if it fails, in one sentence.
        images: the number of images that the check was run on.
    """

    name: Line
    passed: bool
    figures: dict[str, float]
    rule: Line
    advice: Line
    images: Annotated[int, Field(ge=0)]


class Results(Settings):
    """The results of one evaluation: what was measured, how, on what, and the cost of training.

    Accuracies are shares in [0, 1] over ``n`` validation images; ``epsilon`` is the L-infinity
    bound of every attack, in [0, 1] units of pixel value; ``resolved`` is the whole recipe.

    ``robust`` is the worst case over all L-infinity attacks of ``suite``, image by image,
    ``robust_l2`` over its L2 attacks, ``geometric_worst`` over random positions, and
    ``corruptions`` the mean over all kinds and severities; ``None`` where the suite has none.
    Suites beyond ``table`` have sanity ``checks``. An external model has 0 ``passes``, ``epochs``
    and ``seconds``.

    ``flops`` are the floating-point operations of training, as
    :func:`gratis.run.flops.training_flops` counts them; ``None`` for an external model, and in
    results from before they were counted.
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
    flops: Annotated[float, Field(ge=0)] | None = None
    epochs: float
    seconds: float
    device: Line
    commit: str | None = None
    resolved: Annotated[dict[str, Any], AfterValidator(present_names)] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)

    @property
    def curve(self) -> list[tuple[float, float]]:
        """Pairs of epsilon, in [0, 1] units, and accuracy under PGD; empty if not measured."""
        points = [
            (float(task.settings["attack"]["epsilon"]), task.accuracy)
            for task in self.tasks
            if task.threat == "curve"
        ]
        return [(0.0, self.clean), *points] if points else []

    @property
    def external(self) -> bool:
        """Whether this is an external model, whose training is unknown."""
        return not self.passes

    @property
    def overfitted(self) -> bool:
        """Whether the model survives single steps only, by the figures of the table."""
        return overfitted(self.clean, self.fgsm, self.pgd, self.n, 1 / self.classes)

    @property
    def failed_checks(self) -> list[Check]:
        """The sanity checks that the model failed."""
        return [check for check in self.checks if not check.passed]

    def __str__(self) -> str:
        """Return the accuracies in one line, in percent."""
        found = {metric: getattr(self, metric) for metric in (*METRICS, "robust", "robust_l2")}
        texts = [f"{name} {100 * value:.1f}%" for name, value in found.items() if value is not None]
        return (
            f"{self.title} on {self.n} images of {self.data}, epsilon {255 * self.epsilon:.3g}/255"
            f": {', '.join(texts)}"
        )

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
