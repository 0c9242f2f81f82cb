"""A study as its YAML file describes it."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from gratis.packaged import study_path
from gratis.renames import with_current_keys
from gratis.settings import Line, Settings, did_you_mean, validate
from gratis.study.measurements import MEASUREMENTS
from gratis.yaml_files import read_yaml

DEFAULT_METRICS = ("clean", "geometric", "fgsm_transfer", "pgd")


def _known(name: str) -> str:
    if name not in MEASUREMENTS:
        raise ValueError(f"unknown measurement {name!r}{did_you_mean(name, list(MEASUREMENTS))}")
    return name


class Expectation(Settings):
    """What a claim says of two variants in one metric.

    Attributes:
        expect: whether ``of`` is ``higher`` or ``lower`` than ``than``, or the ``same``.
        metric: the metric to compare.
        of: a variant.
        than: another variant.
        within: the difference in points up to which two variants count as the same.
    """

    expect: Literal["higher", "lower", "same"]
    metric: str
    of: str
    than: str
    within: Annotated[float, Field(gt=0)] = 2.0


class Claim(Settings):
    """A claim of the paper.

    Attributes:
        paper: what the paper says, in our words.
        expects: what must be measured if the claim holds.
        note: what measurements outside the study say of it.
    """

    paper: Line
    note: Line | None = None
    expects: Annotated[tuple[Expectation, ...], Field(min_length=1)]


class Variant(Settings):
    """One way to train.

    Attributes:
        title: the title in tables and figures. Default: the variant's name.
        recipe: the recipe. Default: that of the study.
        set: values by dotted key, which replace those of the recipe; the word ``epsilon`` as a
            value stands for the greatest epsilon that the study's recipe trains at.
        epochs_factor: a factor of the epochs that the profile gives the recipe.
        compare_with: the variant that this one is compared with. Default: the first one.
        x: the place on the figure's horizontal axis.
        pretrained: whether it starts from the network that the study pretrains.
    """

    title: Line | None = None
    recipe: str | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    epochs_factor: Annotated[float, Field(gt=0)] = 1.0
    compare_with: str | None = None
    x: float | None = None
    pretrained: bool = False

    @model_validator(mode="before")
    @classmethod
    def _present_names(cls, content: Any) -> Any:
        renamed = {"versus": "compare_with", "epochs": "epochs_factor"}
        return with_current_keys(content, renamed) if isinstance(content, dict) else content


class Study(Settings):
    """A study.

    Attributes:
        name: its name, which is that of its file.
        title: one line for people.
        recipe: the recipe that the variants change.
        set: values by dotted key for all variants.
        pretrain: the network that variants with ``pretrained`` start from, trained with the same
            seed; only its ``recipe``, ``set`` and ``epochs_factor`` count.
        variants: the variants by name; the others are compared with the first one.
        metrics: the metrics of the table.
        measure: additional measurements of every trained model, by the names of their modules.
        figure: the metrics of the figure. Default: those of the table.
        axis: the title of the figure's horizontal axis, if the variants have an ``x``.
        log_axis: whether that axis is logarithmic.
        claims: what the paper claims.
    """

    name: Line
    title: Line
    recipe: str
    set: dict[str, Any] = Field(default_factory=dict)
    pretrain: Variant | None = None
    variants: Annotated[dict[str, Variant], Field(min_length=2)]
    metrics: tuple[str, ...] = DEFAULT_METRICS
    measure: tuple[Annotated[str, AfterValidator(_known)], ...] = ()
    figure: tuple[str, ...] = ()
    axis: Line = ""
    log_axis: bool = False
    claims: tuple[Claim, ...] = ()

    @model_validator(mode="after")
    def _names_are_those_of_variants(self) -> Self:
        compared = [e for claim in self.claims for e in claim.expects]
        named = [
            *(v.compare_with for v in self.variants.values() if v.compare_with),
            *(name for e in compared for name in (e.of, e.than)),
        ]
        for name in named:
            if name not in self.variants:
                raise ValueError(f"no variant {name!r}{did_you_mean(name, list(self.variants))}")
        if self.pretrain is None and any(v.pretrained for v in self.variants.values()):
            raise ValueError("a variant has pretrained: true, but the study has no pretrain")
        return self

    def title_of(self, variant: str) -> str:
        """Return the title of a variant."""
        return self.variants[variant].title or variant

    def control_of(self, variant: str) -> str | None:
        """Return the variant that another is compared with; ``None`` for the first one."""
        first = next(iter(self.variants))
        chosen = self.variants[variant].compare_with
        return chosen or (None if variant == first else first)


def load_study(name: str) -> Study:
    """Return a packaged study, or the user's own: a path that ends in .yaml."""
    path = study_path(name)
    return validate(Study, {"name": Path(path).stem} | read_yaml(path), str(path))
