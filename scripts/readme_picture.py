"""Draw the pictures of README.md from the committed results and from two models of digits.

The command trains both models, about a minute each on one core, unless OUT already holds them::

    uv run python scripts/readme_picture.py --out out/readme

``docs/images/accuracy.png`` shows the results of docs/results/three-seeds.
``docs/images/digits.png`` shows the first validation image of each digit: clean, and attacked by
PGD-20 through each model. Below an image is the prediction, of both models for a clean image.
"""

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from update_readme import RESULTS, ROOT, SUMMARISED, runs_of

import gratis
from gratis.data import DataSettings, load, to_float
from gratis.report.charts import BLUE, GREEN, INK, MUTED, RED, SKY, as_png, new_figure, style
from gratis.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

IMAGES = ROOT / "docs" / "images"
# The recipes of the two models, and how the picture calls them.
MODELS = {"augmented": "natural training", "contrastive-scheduled": "scheduled free training"}
EPSILON = "38/255"
COLOURS = {"clean": SKY, "geometric": BLUE, "pgd": RED}
THIN = {"elinewidth": 1, "ecolor": INK}
DPI = 160


def accuracy_chart(runs: Sequence[Results]) -> bytes:
    """Return the chart of the accuracies of every recipe as PNG."""
    recipes = list(dict.fromkeys(run.recipe for run in runs))
    with style():
        figure = new_figure(8.4, 2.9)
        axes = figure.subplots()
        for place, (metric, colour) in enumerate(COLOURS.items()):
            for row, recipe in enumerate(recipes):
                shares = [100 * getattr(run, metric) for run in runs if run.recipe == recipe]
                middle, spread = statistics.fmean(shares), statistics.stdev(shares)
                at = row + 0.27 * (place - 1)
                label = {"pgd": "PGD-20"}.get(metric, metric) if row == 0 else None
                axes.barh(at, middle, 0.25, xerr=spread, color=colour, label=label, error_kw=THIN)
                axes.text(middle + spread + 0.6, at, f"{middle:.1f}", va="center", fontsize=8)
        axes.set_yticks(range(len(recipes)), recipes)
        axes.invert_yaxis()
        axes.set_xlim(right=65)
        axes.set_xlabel("accuracy in percent")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="lower right")
        first, seeds = runs[0], len(runs) // len(recipes)
        title = f"{first.classes} classes of Tiny ImageNet at {first.image_size} px, {seeds} seeds"
        title += f"; attacks within epsilon {255 * first.epsilon:g}/255"
        axes.set_title(title, fontsize=10, loc="left")
        return as_png(figure, DPI)


def first_of_each_class() -> tuple[Tensor, Tensor, Tensor]:
    """Return the first validation image of each digit, its label and its index."""
    split = load(DataSettings(name="digits")).validation
    _, index = np.unique(split.labels, return_index=True)
    labels = torch.from_numpy(split.labels[index])
    return to_float(split.images[index], "cpu"), labels, torch.from_numpy(index)


def predictions(model: nn.Module, images: Tensor) -> list[int]:
    """Return the class that the model predicts for each image."""
    return [int(prediction.top[0][0]) for prediction in gratis.predict(model, images)]


def draw_row(
    axes: Sequence["Axes"], images: Tensor, labels: Tensor, *guesses: Sequence[int]
) -> None:
    """Draw one row of images with the models' predictions below, red where one is wrong."""
    for place, image, label, *guess in zip(axes, images, labels.tolist(), *guesses, strict=True):
        place.imshow(image.permute(1, 2, 0).clamp(0, 1).numpy(), interpolation="nearest")
        place.set_xticks([])
        place.set_yticks([])
        place.spines[:].set_visible(False)
        found = sorted(set(guess))
        colour, weight = (GREEN, "normal") if found == [label] else (RED, "bold")
        place.set_xlabel(" or ".join(map(str, found)), color=colour, fontweight=weight, labelpad=2)


def digits_picture(out: Path) -> bytes:
    """Return the picture of clean and attacked digits as PNG; train the models in ``out``."""
    with style():
        figure = new_figure(8.4, 2.9)
        grid = figure.subplots(1 + len(MODELS), 10)
        images, labels, index = first_of_each_class()
        clean = []
        for row, (recipe, title) in enumerate(MODELS.items(), start=1):
            model = gratis.load(gratis.train(recipe, data="digits", out=out / recipe))
            attacked = gratis.attack(model, images, labels, "pgd", epsilon=EPSILON, indices=index)
            draw_row(grid[row], attacked, labels, predictions(model, attacked))
            clean.append(predictions(model, images))
            _name(grid[row][0], f"attacked,\n{title}")
        draw_row(grid[0], images, labels, *clean)
        _name(grid[0][0], "clean")
        return as_png(figure, DPI)


def _name(axes: "Axes", title: str) -> None:
    axes.set_ylabel(title, rotation=0, ha="right", va="center", labelpad=8, color=MUTED)


def main() -> None:
    """Draw both pictures."""
    parser = argparse.ArgumentParser(description="Draw the pictures of README.md.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the two runs")
    args = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / "accuracy.png").write_bytes(accuracy_chart(runs_of(RESULTS / SUMMARISED)))
    (IMAGES / "digits.png").write_bytes(digits_picture(args.out))


if __name__ == "__main__":
    main()
