"""How free training works, shown with the log of a run."""

from pathlib import Path
from typing import NamedTuple

import gradio as gr
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gratis.playground.models import PlaygroundModel
from gratis.playground.pictures import figure
from gratis.report.log_lines import LogLine, read_log
from gratis.results.arrays import load_arrays

# Delta at several epochs of a training: ``epochs`` (k,), and ``deltas`` uint8 (k, H, W, 3), where
# 128 is no change.
DELTAS = "deltas.safetensors"

# Images that are not trained on.
_HELD_OUT = {"clean": "new images", "pgd": "new images, attacked"}

_EXPLANATION = """
**Adversarial training** shows the model attacked images while it learns. An attack needs the
gradient of the loss in the pixels, and every step of it costs a backward pass of its own.

**Free adversarial training** gets its attacks almost for nothing, hence the name. One backward
pass gives two gradients: that of the weights trains the model, and that of the pixels moves the
perturbation *delta*. Each batch is repeated a few times (*replays*), so that delta has time to
grow, and delta stays when the next batch comes.

**Schedules** let epsilon and the replays grow in the course of training: the model first learns
what the images show, and then to withstand attacks on them.
"""


class TrainingCurves(NamedTuple):
    """What a run's log says, as tables for charts.

    Attributes:
        accuracy: columns ``epoch``, ``accuracy`` in percent, ``images``.
        schedule: columns ``epoch``, ``value``, ``schedule``.
    """

    accuracy: pd.DataFrame
    schedule: pd.DataFrame


def training_tab(models: list[PlaygroundModel]) -> None:
    """Draw the tab: an explanation, and the curves of the run that was attacked in training."""
    gr.Markdown(_EXPLANATION)
    for model in models:
        curves = None if model.folder is None else training_curves(model.folder)
        if curves is None or model.folder is None or curves.schedule.empty:
            continue
        gr.Markdown(f"### The training of {model.name}")
        with gr.Row():
            gr.LinePlot(
                curves.accuracy,
                x="epoch",
                y="accuracy",
                color="images",
                y_title="accuracy in percent",
                label="Accuracy while training",
            )
            gr.LinePlot(
                curves.schedule,
                x="epoch",
                y="value",
                color="schedule",
                y_title="replays, and epsilon in 255ths",
                label="Schedules",
            )
        _draw_deltas(model.folder)
        return
    gr.Markdown("None of the models on this page is a run with a log of adversarial training.")


def training_curves(folder: Path) -> TrainingCurves:
    """Return the curves of a run.

    Raises:
        GratisError: its log is damaged.
    """
    log = read_log(folder / "metrics.jsonl")
    return TrainingCurves(
        pd.DataFrame(list(_accuracies(log)), columns=["epoch", "accuracy", "images"]),
        pd.DataFrame(list(_schedules(log)), columns=["epoch", "value", "schedule"]),
    )


def _accuracies(log: list[LogLine]) -> list[tuple[float, float, str]]:
    rows = [
        (line.epoch, 100 * line.accuracy, "training images, attacked")
        for line in log
        if line.accuracy
    ]
    for line in log:
        for metric, value in (line.held_out or {}).items():
            if metric in _HELD_OUT:
                rows.append((line.epoch, 100 * value, _HELD_OUT[metric]))
    return rows


def _schedules(log: list[LogLine]) -> list[tuple[float, float, str]]:
    rows = []
    for line in log:
        if line.kind == "step" and line.epsilon is not None and line.replays is not None:
            rows += [
                (line.epoch, 255 * line.epsilon, "epsilon"),
                (line.epoch, line.replays, "replays"),
            ]
    return rows


def _draw_deltas(folder: Path) -> None:
    """Show delta as it was at several epochs, where the folder has it."""
    shown = stored_deltas(folder)
    if not shown:
        return
    gr.Markdown("### Delta, the perturbation that stays from batch to batch")
    gr.Markdown(
        "At several times of the training; an epoch is one pass through all images. "
        "Grey is no change; the colours are magnified."
    )
    with gr.Row():
        for epoch, pixels in shown:
            gr.HTML(figure(pixels, f"epoch {epoch:.1f}"))


def stored_deltas(folder: Path) -> list[tuple[float, NDArray[np.uint8]]]:
    """Return delta at several epochs, as pixels, from the file ``deltas.safetensors``.

    Raises:
        GratisError: the file is damaged.
    """
    file = folder / DELTAS
    if not file.is_file():
        return []
    arrays = load_arrays(file, "holds no deltas", "delete it").arrays
    return list(zip(arrays["epochs"].tolist(), arrays["deltas"], strict=True))
