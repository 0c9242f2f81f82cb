"""The schema of ``results.json``."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from gratis.files import write_text
from gratis.json_files import read_json
from gratis.renames import present_names
from gratis.results.expected import effective_images, expected_accuracy
from gratis.results.overfitting import overfitted
from gratis.results.task_settings import known_settings
from gratis.settings import Line, Settings, validate

# A cost or a count, far below what a float can hold: sums and charts must not overflow.
Amount = Annotated[float, Field(ge=0, le=1e30)]
Count = Annotated[int, Field(ge=0, le=10**15)]
# Share of the images that are classified correctly, in [0, 1].
Accuracy = Annotated[float, Field(ge=0, le=1)]

# The metrics in the order in which tables show them.
METRICS = ("clean", "geometric", "fgsm_transfer", "transfer", "fgsm", "pgd")


class Paper(Settings, extra="ignore"):
    """The values of a row in the paper's Table 1, in percent; ``None`` where it has none.

    Attributes:
        geometric: the accuracy on geometrically perturbed images.
        fgsm_transfer: the accuracy on the baseline's FGSM images with geometric noise.
    """

    geometric: Annotated[float, Field(ge=0, le=100)] | None = None
    fgsm_transfer: Annotated[float, Field(ge=0, le=100)] | None = None


class TaskResult(Settings, extra="ignore"):
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

    name: Line
    accuracy: Accuracy
    threat: Line
    standalone: bool
    images: Count
    settings: Annotated[dict[str, Any], AfterValidator(known_settings)]

    @model_validator(mode="after")
    def _curve_has_an_epsilon(self) -> Self:
        epsilon = self.settings.get("attack", {}).get("epsilon")
        if self.threat == "curve" and (epsilon is None or epsilon > 1):
            raise ValueError("settings: a task of the curve needs an attack.epsilon in [0, 1]")
        return self


class Check(Settings, extra="ignore"):
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
    figures: dict[Line, float]
    rule: Line
    advice: Line
    images: Count


class WeightsFile(Settings, extra="ignore"):
    """The file that a model's weights come from.

    Attributes:
        file: its path, or the name of weights that timm downloaded.
        sha256: the SHA-256 of its content, in hexadecimal; ``None`` if timm downloaded it.
        external: the SHA-256 of each file beside it that an ONNX file keeps weights in, by name.
    """

    file: Line
    sha256: str | None = None
    external: dict[Line, str] = Field(default_factory=dict)


class Before(Settings, extra="ignore"):
    """The accuracies of the natural model that a hardened one was made from.

    They are measured like those of the results that hold them.
    """

    clean: Accuracy
    pgd: Accuracy | None = None
    robust: Accuracy | None = None
    robust_l2: Accuracy | None = None
    expected: Accuracy | None = None


def accuracy_curve(clean: float, tasks: Iterable[TaskResult]) -> list[tuple[float, float]]:
    """Return pairs of epsilon, in [0, 1] units, and accuracy under PGD; empty if not measured."""
    points = [
        (float(task.settings["attack"]["epsilon"]), task.accuracy)
        for task in tasks
        if task.threat == "curve"
    ]
    return [(0.0, clean), *points] if points else []


class Results(Settings, extra="ignore"):
    """The results of one evaluation: what was measured, how, on what, and the cost of training.

    Accuracies are shares in [0, 1] over ``n`` validation images; ``epsilon`` is the L-infinity
    bound of every attack, in [0, 1] units of pixel value; ``resolved`` is the whole recipe.

    ``robust`` is the worst case over all L-infinity attacks of ``suite``, image by image,
    ``robust_l2`` over its L2 attacks, ``geometric_worst`` over random positions, and
    ``corruptions`` the mean over all kinds and severities; ``None`` where the suite has none.
    ``expected`` is the mean accuracy under PGD over all epsilons from 0 to ``epsilon``
    (:func:`gratis.results.expected_accuracy`), where the accuracy against epsilon was measured.
    Suites beyond ``table`` have sanity ``checks``. An external model has 0 ``passes``, ``epochs``
    and ``seconds``; ``weights`` names the file of its weights. ``start`` names the one that the
    training of a run started from. The costs of a hardened run include its natural training;
    ``before`` is what the natural model had. Fields that a newer version wrote are ignored.

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

    suite: Line = "table"
    robust: Accuracy | None = None
    robust_l2: Accuracy | None = None
    geometric_worst: Accuracy | None = None
    corruptions: Accuracy | None = None
    expected: Accuracy | None = None
    before: Before | None = None
    tasks: Annotated[tuple[TaskResult, ...], Field(max_length=10_000)] = ()
    checks: Annotated[tuple[Check, ...], Field(max_length=1_000)] = ()

    n: Annotated[int, Field(gt=0)]
    classes: Annotated[int, Field(gt=1)]
    epsilon: Annotated[float, Field(ge=0, le=1)]
    pgd_steps: Count

    data: Line
    train_images: Count
    backbone: Line
    weights: WeightsFile | None = None
    start: WeightsFile | None = None
    parameters: Count
    image_size: Count
    input_size: Count

    passes: Amount
    flops: Amount | None = None
    epochs: Amount
    seconds: Amount
    device: Line
    commit: Line | None = None
    resolved: Annotated[dict[str, Any], AfterValidator(present_names)] = Field(default_factory=dict)
    versions: dict[Line, Line] = Field(default_factory=dict)

    @property
    def curve(self) -> list[tuple[float, float]]:
        """Pairs of epsilon, in [0, 1] units, and accuracy under PGD; empty if not measured."""
        return accuracy_curve(self.clean, self.tasks)

    def images_of(self, metric: str) -> int:
        """Return how many images decide the uncertainty of a metric.

        Those of ``expected``, which is no share, are as many as :func:`effective_images` says.
        """
        if metric != "expected" or expected_accuracy(self.curve, self.epsilon) is None:
            return self.n
        return effective_images(self.curve, self.epsilon, self.n)

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
        found = {
            metric: getattr(self, metric)
            for metric in (*METRICS, "robust", "robust_l2", "expected")
        }
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
        """Read ``results.json``."""
        return validate(cls, read_json(path), f"{path} (delete it and evaluate again)")
