"""The classes and sample images of a report, and which runs show them."""

import base64
import io
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gratis.errors import GratisError, file_error
from gratis.report.rows import Estimate, Row, group
from gratis.report.runs import Run, setting
from gratis.report.sections import attack_in_words, interval_cell
from gratis.report.summary import ranked
from gratis.report.table import Cell, Table, TableRow, as_text
from gratis.results import Prediction, SampleImage, SampleImages
from gratis.settings import did_you_mean

# Small pictures are enlarged by integer factors to at least this width, in pixels.
_PIXELS = 96
# The number of classes that are all listed, and of those at each end of a longer list.
_ALL, _ENDS = 12, 6


def choose(runs: Sequence[Run], names: Sequence[str]) -> list[Run]:
    """Return the first run of each of the named recipes, to show its images on a page.

    Without names: the most robust recipe, the baseline, and the first with a denoiser.
    """
    firsts: dict[str, Run] = {}
    for run in runs:
        firsts.setdefault(run.results.recipe, run)
    for name in names:
        if name not in firsts:
            hint = did_you_mean(name, list(firsts))
            raise GratisError(f"no run of the recipe {name!r} is among these{hint}")
        if firsts[name].sample_images is None:
            problem = f"no sample images of {name!r} are stored"
            raise file_error(firsts[name].path, problem, "evaluate it again")
    chosen = names or _most_telling(group([run.results for run in runs]))
    return [run for name, run in firsts.items() if name in chosen]


def _most_telling(rows: Sequence[Row]) -> list[str]:
    denoising = [row for row in rows if setting(row.first, "model", "denoiser") is not None]
    baselines = [row for row in rows if row.first.baseline]
    return [row.first.recipe for row in (ranked(rows)[0], *baselines, *denoising[:1])]


class ClassRanking(NamedTuple):
    """Some classes under a heading, the most robust first.

    ``bars`` are the clean and the attacked accuracy of each class, in percent.
    """

    heading: str
    table: Table
    bars: Sequence[tuple[float, float]]


class _ClassAccuracy(NamedTuple):
    name: str
    images: int
    clean: Estimate
    attacked: Estimate


def class_rankings(run: Run, samples: SampleImages, metric: str) -> list[ClassRanking]:
    """Return the classes of a run by their accuracy in ``metric``: all, or of many both ends."""
    labels, correct = samples.labels[run.measurement.index], run.measurement.correct
    classes = []
    for number in np.unique(labels).tolist():
        of_class = labels == number
        n = int(np.count_nonzero(of_class))
        shares = [float(correct[name][of_class].mean()) for name in ("clean", metric)]
        estimates = [Estimate.of(share, n) for share in shares]
        classes.append(_ClassAccuracy(samples.classes[number], n, *estimates))
    classes.sort(key=lambda each: (each.attacked.value, each.clean.value), reverse=True)
    if len(classes) <= _ALL:
        return [_ranking("All classes, the most robust first", classes)]
    most = f"The {_ENDS} most robust of {len(classes)} classes"
    least = f"The {_ENDS} least robust"
    return [_ranking(most, classes[:_ENDS]), _ranking(least, classes[-_ENDS:])]


def _ranking(heading: str, classes: Sequence[_ClassAccuracy]) -> ClassRanking:
    rows = []
    for name, images, *estimates in classes:
        cells = [interval_cell(estimate, digits=0) for estimate in estimates]
        rows.append(TableRow([Cell(name), Cell(str(images)), *cells]))
    columns = [Cell(name) for name in ("class", "images", "clean", "attacked")]
    bars = [(each.clean.value, each.attacked.value) for each in classes]
    return ClassRanking(heading, Table(columns, rows), bars)


class Picture(NamedTuple):
    """A picture of a sample image: the stem of its file, its kind, the PNG, the prediction."""

    name: str
    kind: str
    png: bytes
    prediction: Prediction | None
    correct: bool

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


def gallery(name: str, title: str, samples: SampleImages) -> dict[str, Any]:
    """Return the sample images of a run, with their attack, under a title.

    ``name`` starts the names of the image files.
    """
    attack = ""
    if samples.attack is not None:
        epsilon = as_text("epsilon", samples.attack.epsilon)
        attack = f"{attack_in_words(samples.attack.model_dump())} at epsilon {epsilon}"
    lines = [(image, list(_pictures(name, image))) for image in samples.images]
    growing = [list(_at_epsilons(name, image)) for image in samples.images]
    epsilons = [as_text("epsilon", step.epsilon) for step in samples.images[0].at_epsilons]
    usual = [step.epsilon for step in samples.images[0].at_epsilons]
    own = samples.attack.epsilon if samples.attack is not None else 0.0
    return {
        "title": title,
        "attack": attack,
        "lines": lines,
        "epsilons": epsilons,
        "growing": growing if epsilons else [],
        # The place of the evaluation's own epsilon.
        "shown": usual.index(own) if own in usual else 0,
    }


def _at_epsilons(gallery_name: str, image: SampleImage) -> Iterator[Picture]:
    for number, step in enumerate(image.at_epsilons):
        correct = step.prediction.name == image.label
        name, png = f"{gallery_name}-{image.index}-epsilon-{number}", _enlarged(step.picture)
        yield Picture(name, as_text("epsilon", step.epsilon), png, step.prediction, correct)


def _pictures(gallery_name: str, image: SampleImage) -> Iterator[Picture]:
    for kind, pixels in image.pictures.items():
        prediction = image.predictions.get(kind)
        correct = prediction is not None and prediction.name == image.label
        name = f"{gallery_name}-{image.index}-{kind}"
        yield Picture(name, kind, _enlarged(pixels), prediction, correct)


def _enlarged(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels (height, width, 3) as PNG, enlarged without smoothing if they are few."""
    height, width = pixels.shape[:2]
    factor = max(1, -(-_PIXELS // width))
    size = (width * factor, height * factor)
    content = io.BytesIO()
    enlarged = Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST)
    enlarged.save(content, format="PNG", optimize=True)
    return content.getvalue()
