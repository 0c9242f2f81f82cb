"""The gallery: a few images of one run, as a page shows them."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image

from gratis.report.rows import as_text
from gratis.report.tasks import attack_in_words
from gratis.results.sample_images import Exhibit, Guess, Showing
from gratis.results.sample_images import Picture as Pixels

# Small images are enlarged by whole factors until they are at least so wide.
_PIXELS = 96


@dataclass(frozen=True)
class Picture:
    """One picture: ``name`` is a file's stem, ``kind`` what it shows, ``png`` the file's content.

    ``guess`` is what the model takes it for, if it was asked, and ``right`` whether it is that.
    """

    name: str
    kind: str
    png: bytes
    guess: Guess | None
    right: bool

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


@dataclass(frozen=True)
class Exhibited:
    """One validation image: its place in the split, its class, its pictures."""

    index: int
    label: str
    pictures: Sequence[Picture]


class Gallery(NamedTuple):
    """The images of one run, under its title; ``attack`` is what made the adversarial ones."""

    title: str
    attack: str
    lines: Sequence[Exhibited]


def gallery(number: int, title: str, showing: Showing) -> Gallery:
    """Return the ``number``-th gallery of a page."""
    epsilon = as_text("epsilon", showing.attack["epsilon"])
    attack = f"{attack_in_words(showing.attack)} at epsilon {epsilon}"
    lines = [_exhibited(number, exhibit) for exhibit in showing.exhibits]
    return Gallery(title, attack, lines)


def _exhibited(number: int, exhibit: Exhibit) -> Exhibited:
    pictures = []
    for kind, pixels in exhibit.pictures.items():
        guess = exhibit.guesses.get(kind)
        right = guess is not None and guess.name == exhibit.label
        name = f"gallery-{number}-{exhibit.index}-{kind}"
        pictures.append(Picture(name, kind, _to_png(pixels), guess, right))
    return Exhibited(exhibit.index, exhibit.label, pictures)


def _to_png(pixels: Pixels) -> bytes:
    height, width = pixels.shape[:2]
    factor = max(1, -(-_PIXELS // width))
    image = Image.fromarray(pixels).resize(
        (width * factor, height * factor), Image.Resampling.NEAREST
    )
    content = io.BytesIO()
    image.save(content, format="PNG", optimize=True)
    return content.getvalue()
