"""The gallery: a few images of one run, as a page shows them."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image

from gratis.report.rows import as_text
from gratis.report.tasks import attack_in_words
from gratis.results import Prediction, SampleImage, SampleImages
from gratis.results.sample_images import Picture as Pixels

# Small images are enlarged by whole factors until they are at least so wide.
_PIXELS = 96


@dataclass(frozen=True)
class Picture:
    """One picture: ``name`` is a file's stem, ``kind`` what it shows, ``png`` the file's content.

    ``prediction`` is the model's, if it classified the picture, and ``right`` whether it is right.
    """

    name: str
    kind: str
    png: bytes
    prediction: Prediction | None
    right: bool

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


@dataclass(frozen=True)
class GalleryLine:
    """One validation image: its place in the split, its class, its pictures."""

    index: int
    label: str
    pictures: Sequence[Picture]


class Gallery(NamedTuple):
    """The images of one run, under its title; ``attack`` is what made the adversarial ones."""

    title: str
    attack: str
    lines: Sequence[GalleryLine]


def gallery(number: int, title: str, samples: SampleImages) -> Gallery:
    """Return the ``number``-th gallery of a page."""
    attack = ""
    if samples.attack is not None:
        epsilon = as_text("epsilon", samples.attack.epsilon)
        attack = f"{attack_in_words(samples.attack.model_dump())} at epsilon {epsilon}"
    return Gallery(title, attack, [_line(number, image) for image in samples.images])


def _line(number: int, image: SampleImage) -> GalleryLine:
    pictures = []
    for kind, pixels in image.pictures.items():
        prediction = image.predictions.get(kind)
        right = prediction is not None and prediction.name == image.label
        name = f"gallery-{number}-{image.index}-{kind}"
        pictures.append(Picture(name, kind, _to_png(pixels), prediction, right))
    return GalleryLine(image.index, image.label, pictures)


def _to_png(pixels: Pixels) -> bytes:
    height, width = pixels.shape[:2]
    factor = max(1, -(-_PIXELS // width))
    image = Image.fromarray(pixels).resize(
        (width * factor, height * factor), Image.Resampling.NEAREST
    )
    content = io.BytesIO()
    image.save(content, format="PNG", optimize=True)
    return content.getvalue()
