"""Arguments and options that several commands share, and their meaning as overrides."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gratis.cli import completion
from gratis.settings import overrides_of

# Flags take no value: without it, their help shows the type <bool>.
NO_TYPE = ""


def option(help: str, metavar: str, *names: str, **more: Any) -> Any:
    """Return an option; without ``names`` it has that of the argument."""
    return typer.Option(*names, help=help, metavar=metavar, **more)


def flag(name: str, help: str) -> Any:
    """Return an option that takes no value."""
    return typer.Option(name, help=help, metavar=NO_TYPE)


def _overrides(examples: str) -> Any:
    return typer.Argument(metavar="KEY=VALUE", help=f"Overrides, such as {examples}.")


Overrides = Annotated[
    list[str] | None, _overrides("train.epochs=5 or adversary.free.epsilon=4/255")
]
EvaluationOverrides = Annotated[
    list[str] | None, _overrides("evaluate.images=1000 or data.classes=10")
]
DataOverrides = Annotated[list[str] | None, _overrides("data.classes=10")]
RecipeName = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE",
        help="A name from 'gratis recipes ls', or your own .yaml.",
        autocompletion=completion.recipes,
    ),
]
DATA_NAMES = (
    "digits, tiny-imagenet, cifar10, cifar100, folder:PATH, csv:FILE, hf:NAME (a data set of the "
    "Hugging Face hub) or wds:PATTERN (webdataset shards)."
)
DataName = Annotated[str | None, option(DATA_NAMES, "NAME", "--data")]
DataRoot = Annotated[
    Path | None, option("The folder that holds the data set.", "DIR", "--data-root")
]
AsJson = Annotated[bool, flag("--json", "Print JSON.")]
SkipBroken = Annotated[
    bool, flag("--skip-broken-images", "Leave out images that cannot be read, and list them.")
]
ValFraction = Annotated[
    float | None,
    typer.Option(
        "--val-fraction",
        help="The share of your own images to validate on, if they have no split. Default: 0.1.",
        metavar="SHARE",
    ),
]
PROFILE = (
    "Sizes for a data set and machine: digits, tiny-imagenet-small, tiny-imagenet, "
    "tiny-imagenet-scratch, tiny-imagenet-cpu, photos-cpu, record, record-small, or your own .yaml."
)
ProfileName = Annotated[
    str | None, option(PROFILE, "NAME", "--profile", autocompletion=completion.profiles)
]
Sets = Annotated[
    Path | None,
    option("A folder of perturbed validation sets, from 'gratis perturb'.", "DIR", "--sets"),
]
OnDivergence = Annotated[
    str | None,
    option(
        "When the loss explodes or is not finite: 'rollback' to the last checkpoint and "
        "halve the learning rate, up to three times (default), or 'stop'.",
        "stop|rollback",
        "--on-divergence",
    ),
]


def _with_packages(names: list[str] | None) -> list[str] | None:
    """Refuse loggers that do not exist or are not installed, before torch is imported."""
    if names:
        from gratis.loggers import require

        require(names)
    return names


Log = Annotated[
    list[str] | None,
    option(
        "Tell this logger of the run; repeatable. Each needs the extra of its name. wandb works "
        "offline, unless WANDB_MODE says otherwise.",
        "tensorboard|wandb|mlflow",
        "--log",
        callback=_with_packages,
        autocompletion=completion.loggers,
    ),
]
ModelName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="The folder of a run; hub:USER/NAME, a run that was shared; a timm model (with "
        "--weights); local-dir:PATH or hf-hub:USER/NAME in timm's format; an ONNX file; or "
        "package.module:function.",
    ),
]
StartWeights = Annotated[
    Path | None,
    option(
        "Start from these weights: .pt, .pth or .safetensors, or the folder of a run.",
        "FILE",
        "--weights",
    ),
]
TrustCode = Annotated[
    bool,
    typer.Option(
        "--trust-code",
        help="Import the code that a run's recipe names as its network.",
        metavar=NO_TYPE,
    ),
]
Devices = Annotated[
    int | None,
    typer.Option(
        "--devices",
        help="How many GPUs to use, one process each; without a GPU, how many processes.",
        metavar="N",
        min=1,
    ),
]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")]


def data_overrides(
    name: str | None, root: Path | None, skip_broken: bool, val_fraction: float | None = None
) -> list[str]:
    """Return the options of a data set as overrides of the recipe."""
    from gratis.api import arguments

    held_out = overrides_of({"data.val_fraction": val_fraction})
    return [*arguments.data_overrides(name, root, skip_broken), *held_out]


def initial_weight_overrides(weights: Path | None) -> list[str]:
    """Return --weights as overrides of the recipe."""
    if weights is None:
        return []
    from gratis.run import initial_weight_overrides

    return initial_weight_overrides(weights)
