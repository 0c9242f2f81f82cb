"""From the values of the page's controls to what it shows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import gradio as gr
import pandas as pd
from torch import Tensor

from gratis.attacks import Norm
from gratis.playground.attack_steps import AttackRequest, AttackStep, attack_steps, first_error
from gratis.playground.distortions import Distortion
from gratis.playground.models import PlaygroundModel
from gratis.playground.pictures import effect, first_errors, perturbation, picture, top_five

OWN_PREDICTION = "each model's own prediction"
NO_TARGET = "any other class"
# The largest epsilon of the slider in each norm, in the units of pixel value.
LARGEST: dict[Norm, float] = {"linf": 16 / 255, "l2": 4.0}


class Controls(NamedTuple):
    """The values of the page's controls.

    Attributes:
        file: the image file; ``None`` if there is none.
        label: the name of the image's class, or ``OWN_PREDICTION``.
        method: a key of :data:`gratis.playground.attack_steps.STEPS`.
        norm: the norm of the perturbation.
        size: epsilon in 255ths in L-infinity, as a length in L2.
        target: the name of the class to reach, or ``NO_TARGET``.
        rotation, shift, scale, hue, saturation, blur: as in :class:`Distortion`.
    """

    file: str | None
    label: str
    method: str
    norm: Literal["linf", "l2"]
    size: float
    target: str
    rotation: float
    shift: float
    scale: float
    hue: float
    saturation: float
    blur: float

    @property
    def distortion(self) -> Distortion:
        """How the image is changed before it is attacked."""
        return Distortion(*self[6:])

    @property
    def epsilon(self) -> float:
        """The size of the attack, in units of pixel value."""
        return self.size / 255 if self.norm == "linf" else self.size

    def prepared(self, model: PlaygroundModel) -> Tensor:
        """Return the image as the model sees it before an attack.

        Raises:
            GratisError: the file is no image.
        """
        return self.distortion.apply(model.read(Path(self.file or "")))

    def label_for(self, model: PlaygroundModel) -> int:
        """Return the class that an attack leads away from.

        Raises:
            GratisError: the file is no image.
        """
        if self.label in model.classes:
            return model.classes.index(self.label)
        return int(model.probabilities(model.read(Path(self.file or ""))).argmax())

    def request(self, model: PlaygroundModel) -> AttackRequest:
        """Return the attack."""
        target = model.classes.index(self.target) if self.target in model.classes else None
        return AttackRequest(self.method, self.norm, self.epsilon, target)


def attacked(models: list[PlaygroundModel], controls: Controls) -> Iterator[list[Any]]:
    """Yield what the page shows while and after each model is attacked.

    For every model the effect, the attacked image, the perturbation and the five most probable
    classes; then the losses of all.
    """
    shown: list[list[Any]] = [["", "", "", None] for _ in models]
    losses: dict[str, AttackStep] = {}
    if controls.file is None:
        yield [*(value for each in shown for value in each), _loss_table(losses)]
        return
    for place, model in enumerate(models):
        images, label = controls.prepared(model), controls.label_for(model)
        before = top_five(model, images)
        for step in attack_steps(model, images, label, controls.request(model)):
            losses[model.name] = step
            after = top_five(model, step.images)
            shown[place] = [
                effect(before, after),
                picture(step.images, "What the model sees"),
                perturbation(images, step.images),
                after,
            ]
            # The chart does not follow two changes at once: it is drawn with the last model.
            chart = _loss_table(losses) if len(losses) == len(models) else gr.skip()
            yield [*(value for each in shown for value in each), chart]


def first_errors_of(models: list[PlaygroundModel], controls: Controls) -> str:
    """Return the sentence that says where each model first errs."""
    if controls.file is None:
        return ""
    largest = LARGEST[controls.norm]
    found = {
        model.name: first_error(
            model, controls.prepared(model), controls.label_for(model), controls.norm, largest
        )
        for model in models
    }
    return first_errors(found, largest, controls.norm)


def _loss_table(losses: dict[str, AttackStep]) -> pd.DataFrame:
    """Return the losses at every step."""
    rows = [
        (number, loss, name)
        for name, step in losses.items()
        for number, loss in enumerate(step.losses)
    ]
    return pd.DataFrame(rows, columns=["step", "loss", "model"])
