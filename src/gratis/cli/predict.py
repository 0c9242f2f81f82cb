"""The command ``gratis predict``."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gratis.cli.options import ModelName, TrustCode, flag, option
from gratis.cli.predictions import Print, print_csv, print_json, print_table
from gratis.errors import GratisError
from gratis.progress import track
from gratis.trusted_code import takes_trust_code

if TYPE_CHECKING:
    from gratis.run.prediction import Prediction

# The exit code where some images could not be classified.
_INCOMPLETE = 1


@takes_trust_code
def predict(
    model: ModelName,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...", help="Image files, folders of them, or - for a list on stdin."
        ),
    ],
    top: Annotated[int, option("How many classes to show.", "N", min=1)] = 5,
    attack: Annotated[
        str | None,
        option("Also classify each image under an attack: fgsm, bim or pgd.", "NAME"),
    ] = None,
    epsilon: Annotated[
        str | None, option("The size of the attack, such as 4/255.", "FRACTION")
    ] = None,
    as_csv: Annotated[bool, flag("--csv", "Print CSV, one line per image.")] = False,
    as_json: Annotated[bool, flag("--json", "Print JSON.")] = False,
    weights: Annotated[Path | None, option("The local weights of a timm model.", "FILE")] = None,
    size: Annotated[
        int | None,
        option(
            "Height and width that images are resized to, for a model that does not store "
            "those that it was trained on.",
            "PIXELS",
            min=4,
        ),
    ] = None,
    white_level: Annotated[
        float | None,
        option("The value of white in images of more than 8 bits, such as 4095.", "VALUE"),
    ] = None,
    trust_code: TrustCode = False,
) -> None:
    """Classify images.

    Images of any size and mode are prepared exactly as in training: turned
    upright, converted to RGB, cropped and resized. An attack tries to change
    the class that the model predicts.

    An image that cannot be read is reported on standard error. The others are
    classified, and the exit code is 1.

    For example:

      gratis predict runs/free photos/

      gratis predict runs/free cat.jpg --attack pgd --epsilon 4/255

      find photos -name '*.png' | gratis predict runs/free - --csv > classes.csv
    """
    from gratis.api.prediction import attack_for
    from gratis.run import ModelSource
    from gratis.run.prediction import Predictor, preparation_of, to_best_device

    print_them = _format(as_csv, as_json)
    settings = attack_for(attack, epsilon)  # type: ignore[arg-type]
    module = to_best_device(ModelSource(model, weights).build())
    preparation = preparation_of(module, size, white_level)
    errors: list[GratisError] = []
    files = _files(images, errors)
    found = Predictor(module, top, settings).predict_files(files, preparation)
    print_them(_good(track(found, "classify", len(files)), errors), _title(attack, epsilon))
    for error in errors:
        typer.echo(f"error: {error}", err=True)
    if errors:
        raise typer.Exit(_INCOMPLETE)


def _format(as_csv: bool, as_json: bool) -> Print:
    if as_csv and as_json:
        raise GratisError("--csv and --json: choose one")
    return print_csv if as_csv else print_json if as_json else print_table


def _title(attack: str | None, epsilon: str | None) -> str | None:
    return None if attack is None else f"{attack} {epsilon}"


def _files(arguments: Sequence[str], errors: list[GratisError]) -> list[Path]:
    """Return every image file that the arguments name; collect the errors of folders."""
    from gratis.run.prediction import image_files

    files: list[Path] = []
    for argument in _expanded(arguments):
        try:
            files += image_files(Path(argument))
        except GratisError as error:
            errors.append(error)
    return files


def _expanded(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the arguments, with the lines of standard input in the place of ``-``."""
    for argument in arguments:
        if argument != "-":
            yield argument
            continue
        for line in typer.get_binary_stream("stdin"):
            # As the system decodes the names of files: not all are UTF-8.
            if name := os.fsdecode(line.rstrip(b"\r\n")):
                yield name


def _good(
    found: "Iterator[Prediction | GratisError]", errors: list[GratisError]
) -> "Iterator[Prediction]":
    """Yield the predictions; collect the errors."""
    for each in found:
        if isinstance(each, GratisError):
            errors.append(each)
        else:
            yield each
