"""The images of a report: which runs show them, and their pictures."""

import base64
import io
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from PIL import Image

from gratis.errors import GratisError, file_error
from gratis.report.rows import Row, group
from gratis.report.runs import Run, setting
from gratis.report.sections import attack_in_words
from gratis.report.table import as_text
from gratis.report.verdict import ranked
from gratis.results import Prediction, SampleImage, SampleImages
from gratis.settings import did_you_mean

# Small pictures are enlarged by integer factors to at least this width, in pixels.
_PIXELS = 96


def choose(runs: Sequence[Run], names: Sequence[str]) -> list[Run]:
    """Return the first run of each of the named recipes, to show its images on a page.

    Without names: the most robust recipe, the baseline, and the first with a denoiser.

    Raises:
        GratisError: there is no run of a named recipe, or no sample images of it are stored.
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
    return {"title": title, "attack": attack, "lines": lines}


def _pictures(gallery_name: str, image: SampleImage) -> Iterator[Picture]:
    for kind, pixels in image.pictures.items():
        prediction = image.predictions.get(kind)
        correct = prediction is not None and prediction.name == image.label
        height, width = pixels.shape[:2]
        factor = max(1, -(-_PIXELS // width))
        enlarged = Image.fromarray(pixels).resize(
            (width * factor, height * factor), Image.Resampling.NEAREST
        )
        content = io.BytesIO()
        enlarged.save(content, format="PNG", optimize=True)
        name = f"{gallery_name}-{image.index}-{kind}"
        yield Picture(name, kind, content.getvalue(), prediction, correct)
