"""Images and words for the page.

Images are inside the page's HTML: gradio would write each to a file, which two visitors with the
same image would write and read at once.
"""

import base64
from html import escape
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gratis.playground.models import PlaygroundModel

# It does not depend on the attack that is chosen.
_SMALLEST = "The smallest epsilon with which PGD-10 changes the prediction to any other class: "


def picture(images: Tensor, caption: str) -> str:
    """Return the first of images (n, 3, H, W) in [0, 1] as HTML."""
    return figure(_pixels(images[0]), caption)


def perturbation(before: Tensor, after: Tensor) -> str:
    """Return the first difference of images as HTML, magnified to the full scale.

    Grey is no perturbation.
    """
    delta = (after - before)[0]
    largest = float(delta.abs().max())
    pixels = _pixels(0.5 + (0.5 * delta / largest if largest else delta))
    said = f"The perturbation, at most {255 * largest:.1f}/255, magnified"
    return figure(pixels, said if largest else "No perturbation")


def figure(pixels: NDArray[np.uint8], caption: str) -> str:
    """Return uint8 pixels (H, W, 3) as HTML that enlarges small images without smoothing."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "png")
    source = base64.b64encode(file.getvalue()).decode("ascii")
    look = "width:100%;max-width:256px;image-rendering:pixelated;border-radius:6px"
    return (
        f'<figure style="margin:0"><img alt="{escape(caption)}" style="{look}" '
        f'src="data:image/png;base64,{source}"><figcaption>{escape(caption)}</figcaption></figure>'
    )


def top_five(model: PlaygroundModel, images: Tensor) -> dict[str, float]:
    """Return the five most probable classes of the first image with their probabilities."""
    probabilities = model.probabilities(images)[0]
    values, places = probabilities.topk(min(5, len(probabilities)))
    return {model.classes[p]: v for p, v in zip(places.tolist(), values.tolist(), strict=True)}


def heading(name: str, color: str) -> str:
    """Return a model's name as HTML, with the color of its line in the chart."""
    return f'<h3 style="margin:0"><span style="color:{color}">●</span> {escape(name)}</h3>'


def effect(before: dict[str, float], after: dict[str, float]) -> str:
    """Return as HTML what a model predicts without the attack, and whether that changes it."""
    name, probability = next(iter(before.items()))
    kept = next(iter(after)) == name
    said = "The attack does not change it." if kept else "The attack changes it."
    if after == before:
        said = "There is no attack."
    # Two lines in every column, so that the images beside each other are at one height.
    return (
        f'<p style="margin:0;min-height:3em;line-height:1.5em">Before the attack: {escape(name)} '
        f"({probability:.0%})<br><strong>{said}</strong></p>"
    )


def first_errors(found: dict[str, float | None], largest: float, norm: str) -> str:
    """Return the sentence that says where each model first errs."""
    said = [f"**{name}** {_first(value, largest, norm)}" for name, value in found.items()]
    return f"{_SMALLEST}{', '.join(said)}. The larger, the more robust."


def _first(value: float | None, largest: float, norm: str) -> str:
    if value is None:
        return f"not up to {_size(largest, norm)}"
    return "wrong without an attack" if value == 0 else f"at {_size(value, norm)}"


def _size(epsilon: float, norm: str) -> str:
    return f"{255 * epsilon:.1f}/255" if norm == "linf" else f"a length of {epsilon:.2f}"


def _pixels(image: Tensor) -> NDArray[np.uint8]:
    scaled = image.mul(255).round().clamp(0, 255).permute(1, 2, 0)
    array: NDArray[np.uint8] = scaled.cpu().numpy().astype(np.uint8)
    return array
