"""The page: its controls, and what they change."""

from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import gradio as gr

from gratis.errors import GratisError
from gratis.playground.attack_steps import STEPS
from gratis.playground.handlers import (
    LARGEST,
    NO_TARGET,
    OWN_PREDICTION,
    Controls,
    attacked,
    first_errors_of,
)
from gratis.playground.models import PlaygroundModel
from gratis.playground.training_tab import training_tab

TITLE = "gratis: how robust is a classifier?"
_INTRODUCTION = f"""# {TITLE}
Choose an image and move **epsilon**, the most by which a pixel value may change. The attack
searches for the perturbation that misleads each model most. A natural model errs after changes that
nobody sees; a robust one usually withstands more.
"""
_COLORS = ("#c44e52", "#4c72b0")
_NORMS = [("L-infinity: every pixel value", "linf"), ("L2: norm of the perturbation", "l2")]


def build_page(models: list[PlaygroundModel]) -> gr.Blocks:
    """Return the page for one or two models with the same classes."""
    page = gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(600, 600))
    with page:
        gr.Markdown(_INTRODUCTION)
        with gr.Tab("Attack an image"):
            _attack_tab(page, models)
        with gr.Tab("How free training works"):
            training_tab(models)
    return page


def _attack_tab(page: gr.Blocks, models: list[PlaygroundModel]) -> None:
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            controls = _controls(models)
        with gr.Column(scale=2, min_width=300):
            errs = gr.Markdown(elem_id="first-errors")
            with gr.Row():
                shown = [each for model in models for each in _model_column(model)]
            losses = gr.LinePlot(
                x="step",
                y="loss",
                color="model",
                color_map={m.name: c for m, c in zip(models, _COLORS, strict=False)},
                colors_in_legend=[model.name for model in models],
                height=220,
                label="Cross entropy along the attack",
            )
            stop = gr.Button("Stop the attack", size="sm")
    triggers = [page.load, *(control.change for control in controls)]
    running = gr.on(
        triggers,
        _attack_with(models),
        controls,
        [*shown, losses],
        trigger_mode="always_last",
        show_progress="hidden",
        concurrency_limit=2,
        api_visibility="private",
    )
    # Where a model first errs depends neither on the attack shown nor on its size.
    image_controls = [controls[place] for place in (0, 1, 3, *range(6, len(controls)))]
    gr.on(
        [page.load, *(control.change for control in image_controls)],
        _first_errors_with(models),
        controls,
        errs,
        trigger_mode="always_last",
        show_progress="hidden",
        api_visibility="private",
    )
    stop.click(None, cancels=[running], api_visibility="private")


def _controls(models: list[PlaygroundModel]) -> list[Any]:
    """Return the controls in the order of :class:`Controls`."""
    samples = sorted(map(str, _samples().glob("*.jpg")))
    image = gr.Image(
        samples[0],
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard"],
        height=240,
        label="Image",
        elem_id="image",
        buttons=[],
    )
    # gradio opens files itself, and fails on a broken one with a traceback.
    vars(image)["preprocess"] = lambda payload: None if payload is None else payload.path
    gr.Examples([[sample] for sample in samples], image, label="Samples")
    label = gr.Dropdown(
        [OWN_PREDICTION, *models[0].classes], value=OWN_PREDICTION, label="True class"
    )
    method = gr.Radio(list(STEPS), value="PGD-10", label="Attack")
    size = gr.Slider(0, 16, value=2, step=0.25, label=_size_label("linf"), elem_id="epsilon")
    with gr.Accordion("More about the attack", open=False):
        norm = gr.Radio(_NORMS, value="linf", label="Norm")
        target = gr.Dropdown([NO_TARGET, *models[0].classes], value=NO_TARGET, label="Target class")
    norm.change(_size_slider, norm, size, api_visibility="private")
    with gr.Accordion("Geometry and colour", open=False):
        distortions = [
            gr.Slider(-45, 45, value=0, step=1, label="Rotation (degrees)"),
            gr.Slider(-0.3, 0.3, value=0, step=0.01, label="Shift (of the width)"),
            gr.Slider(0.5, 2, value=1, step=0.05, label="Scale"),
            gr.Slider(-0.5, 0.5, value=0, step=0.01, label="Hue"),
            gr.Slider(0, 3, value=1, step=0.05, label="Saturation"),
            gr.Slider(0, 0.1, value=0, step=0.005, label="Blur (of the width)"),
        ]
    return [image, label, method, norm, size, target, *distortions]


def _model_column(model: PlaygroundModel) -> list[Any]:
    with gr.Column(min_width=140):
        gr.Markdown(f"### {model.name}")
        image = gr.HTML()
        prediction = gr.Label(num_top_classes=5, label="Prediction")
        delta = gr.HTML()
    return [image, delta, prediction]


def _size_label(norm: str) -> str:
    return "Epsilon (of 255)" if norm == "linf" else "Epsilon (L2 norm)"


def _size_slider(norm: str) -> Any:
    linf = norm == "linf"
    largest = 255 * LARGEST["linf"] if linf else LARGEST["l2"]
    return gr.Slider(
        maximum=largest,
        value=2 if linf else 0.5,
        step=0.25 if linf else 0.05,
        label=_size_label(norm),
    )


def _attack_with(models: list[PlaygroundModel]) -> Callable[..., Iterator[list[Any]]]:
    def shown(*values: Any) -> Iterator[list[Any]]:
        try:
            yield from attacked(models, Controls(*values))
        except GratisError as error:
            raise gr.Error(str(error), print_exception=False) from None

    return shown


def _first_errors_with(models: list[PlaygroundModel]) -> Callable[..., str]:
    def shown(*values: Any) -> str:
        try:
            return first_errors_of(models, Controls(*values))
        except GratisError:
            # The attack, which the same input started, reports it.
            return ""

    return shown


def _samples() -> Path:
    return Path(str(resources.files("gratis.playground").joinpath("samples")))
