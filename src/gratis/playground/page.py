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
from gratis.playground.measured import measured
from gratis.playground.models import PlaygroundModel
from gratis.playground.pictures import heading
from gratis.playground.training_tab import training_tab
from gratis.run.bundled import bundled_folder

TITLE = "gratis: how robust is a classifier?"
_INTRODUCTION = f"""# {TITLE}
A classifier names what an image shows. Changes of the pixels that are too small to notice can
change its answer; the search for such a change is an **attack**, and a classifier that keeps its
answer is **robust**.

Choose an image, move **epsilon**, and compare what the models predict before and after the attack.
"""
_BUNDLED_SAMPLES = """The two models are small: they see 32 x 32 pixels, know 200 classes, and are
often wrong without any attack. The coffee is an easy image. There is no class for rockets (an
obelisk is close) or for this flower, and both misread the cat.
"""
# The first one shows the difference between the bundled models at once.
SAMPLES = ("coffee.jpg", "rocket.jpg", "cat.jpg", "flower.jpg")
_COLORS = ("#c44e52", "#4c72b0")
_NORMS = [
    ("L-infinity: the largest change of a value", "linf"),
    ("L2: the length of the whole change", "l2"),
]


def build_page(models: list[PlaygroundModel]) -> gr.Blocks:
    """Return the page for one or two models with the same classes."""
    page = gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(600, 600))
    with page:
        gr.Markdown(_INTRODUCTION)
        with gr.Tab("Attack an image"):
            _attack_tab(page, models)
        with gr.Tab("Free training"):
            training_tab(models)
    return page


def _attack_tab(page: gr.Blocks, models: list[PlaygroundModel]) -> None:
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            controls, stop = _controls(models)
        with gr.Column(scale=2, min_width=300):
            errs = gr.Markdown(elem_id="first-errors")
            with gr.Row():
                shown = [
                    each
                    for model, color in zip(models, _COLORS, strict=False)
                    for each in _model_column(model, color)
                ]
            losses = gr.LinePlot(
                x="step",
                y="loss",
                color="model",
                color_map={m.name: c for m, c in zip(models, _COLORS, strict=False)},
                colors_in_legend=[model.name for model in models],
                label="Loss at every step: up away from a class, down towards a target class",
            )
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


def _controls(models: list[PlaygroundModel]) -> tuple[list[Any], gr.Button]:
    """Return the controls in the order of :class:`Controls`, and the button that stops."""
    image = _image_control(models)
    size = gr.Slider(
        0,
        16,
        value=2,
        step=0.25,
        label=_size_label("linf"),
        info=_size_info("linf"),
        elem_id="epsilon",
    )
    method = gr.Radio(
        list(STEPS),
        value="PGD-10",
        label="Attack",
        info="FGSM takes one step to where the model errs, PGD 10 or 50. Noise has no aim.",
    )
    with gr.Accordion("More about the attack", open=False):
        label = gr.Dropdown(
            [OWN_PREDICTION, *models[0].classes],
            value=OWN_PREDICTION,
            label="True class",
            info="The attack leads away from it.",
        )
        target = gr.Dropdown(
            [NO_TARGET, *models[0].classes],
            value=NO_TARGET,
            label="Target class",
            info="The attack leads to it.",
        )
        norm = gr.Radio(_NORMS, value="linf", label="Norm", info="How a change is measured.")
        stop = gr.Button("Stop a long attack", size="sm")
    norm.change(_size_slider, norm, size, api_visibility="private")
    with gr.Accordion("Geometry and colour", open=False):
        gr.Markdown("These change the image before the attack.")
        distortions = [
            gr.Slider(-45, 45, value=0, step=1, label="Rotation (degrees)"),
            gr.Slider(-0.3, 0.3, value=0, step=0.01, label="Shift (of the width)"),
            gr.Slider(0.5, 2, value=1, step=0.05, label="Scale"),
            gr.Slider(-0.5, 0.5, value=0, step=0.01, label="Hue"),
            gr.Slider(0, 3, value=1, step=0.05, label="Saturation"),
            gr.Slider(0, 0.1, value=0, step=0.005, label="Blur (of the width)"),
        ]
    return [image, label, method, norm, size, target, *distortions], stop


def _image_control(models: list[PlaygroundModel]) -> gr.Image:
    paths = [str(sample(name)) for name in SAMPLES]
    image = gr.Image(
        paths[0],
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
    gr.Examples([[path] for path in paths], image, label="Samples: choose one")
    if all(model.folder == bundled_folder(model.name) for model in models):
        gr.Markdown(_BUNDLED_SAMPLES)
    return image


def _model_column(model: PlaygroundModel, color: str) -> list[Any]:
    with gr.Column(min_width=140):
        gr.HTML(heading(model.name, color))
        gr.Markdown(measured(model.folder))
        effect = gr.HTML()
        image = gr.HTML()
        prediction = gr.Label(num_top_classes=5, label="After the attack")
        delta = gr.HTML()
    return [effect, image, delta, prediction]


def _size_label(norm: str) -> str:
    return "Epsilon (of 255)" if norm == "linf" else "Epsilon (L2)"


def _size_info(norm: str) -> str:
    if norm == "linf":
        return "The most by which a pixel value may change; 4 is hardly visible."
    return "The largest length of the change of all pixel values together."


def _size_slider(norm: str) -> Any:
    linf = norm == "linf"
    largest = 255 * LARGEST["linf"] if linf else LARGEST["l2"]
    return gr.Slider(
        maximum=largest,
        value=2 if linf else 0.5,
        step=0.25 if linf else 0.05,
        label=_size_label(norm),
        info=_size_info(norm),
    )


def _attack_with(models: list[PlaygroundModel]) -> Callable[..., Iterator[list[Any]]]:
    def shown(*values: Any) -> Iterator[list[Any]]:
        try:
            yield from attacked(models, Controls(*values))
        except GratisError as error:
            raise gr.Error(str(error), print_exception=False) from None

    return shown


def _first_errors_with(models: list[PlaygroundModel]) -> Callable[..., Iterator[str]]:
    def shown(*values: Any) -> Iterator[str]:
        # The sentence of the image before would be taken for this one's.
        yield "Searching for the smallest epsilon that changes the prediction …"
        try:
            yield first_errors_of(models, Controls(*values))
        except GratisError:
            # The attack, which the same input started, reports it.
            yield ""

    return shown


def sample(name: str) -> Path:
    """Return the file of a sample image."""
    return Path(str(resources.files("gratis.playground").joinpath("samples", name)))
