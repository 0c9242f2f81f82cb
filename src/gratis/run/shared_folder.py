"""The folder of a shared model: its files, and the checksums that tell whether they are intact."""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from pydantic import Field

from gratis.digests import file_digest
from gratis.errors import GratisError, file_error, quoted
from gratis.json_files import read_json, write_json
from gratis.model import Architecture
from gratis.recipe import Recipe, read_recipe
from gratis.report import CardFacts, claims, model_card
from gratis.results import Results
from gratis.run.folder import SHARED_MANIFEST, WEIGHTS, RunFolder
from gratis.run.settings_check import refuse_other_settings
from gratis.settings import Line, Settings, validate

CARD, REPORT = "README.md", "report.html"
# Every file that is shared. Nothing else is ever downloaded.
FILES = (WEIGHTS, "recipe.yaml", "data.json", "results.json", CARD, REPORT)

_AGAIN = "download it again; if it stays so, do not trust this model"
# Half of the last digit of a card, in percent, and the rounding of floats.
_ROUNDING = 0.0501

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Manifest(Settings):
    """What is in the folder of a shared model.

    Attributes:
        name: ``USER/NAME`` on the hub.
        licence: the identifier of the licence, such as ``apache-2.0``.
        version: the version of gratis that wrote the folder.
        files: the SHA-256 of each file.
    """

    name: Line
    licence: Line
    version: Line
    files: dict[str, Sha256]


def write_manifest(folder: Path, name: str, licence: str) -> None:
    """Write the card and the manifest of a folder that holds the other files."""
    facts = Manifest(name=name, licence=licence, version=version("gratis"), files={})
    (folder / CARD).write_text(_card(folder, facts), encoding="utf-8")
    digests = {file: file_digest(folder / file) for file in FILES}
    write_json(folder / SHARED_MANIFEST, facts.model_dump() | {"files": digests})


def is_shared(folder: Path) -> bool:
    """Return whether a folder is that of a shared model."""
    return (folder / SHARED_MANIFEST).is_file()


def check(folder: Path) -> Manifest:
    """Return the manifest of a shared model after checking every file against it.

    Raises:
        GratisError: a file is missing or differs from its checksum, the card does not say what the
            results say, they were measured with other settings than the recipe has, or loading the
            model would run other code.
    """
    if not is_shared(folder):
        raise file_error(folder, f"is no model that gratis shared (it has no {SHARED_MANIFEST})")
    manifest = validate(
        Manifest, read_json(folder / SHARED_MANIFEST, _AGAIN), str(folder / SHARED_MANIFEST)
    )
    for file in FILES:
        path = folder / file
        if not path.is_file():
            raise file_error(path, "is missing", _AGAIN)
        if file_digest(path) != manifest.files.get(file):
            raise file_error(path, f"differs from its checksum in {SHARED_MANIFEST}", _AGAIN)
    recipe, results = read_recipe(folder / "recipe.yaml"), Results.read(folder / "results.json")
    refuse_code(recipe, folder)
    refuse_other_settings(folder, recipe, results, _AGAIN)
    _check_card(folder, manifest, results)
    return manifest


def refuse_code(recipe: Recipe, folder: Path) -> None:
    """Refuse a model whose network is not one of timm's."""
    backbone = recipe.model.backbone
    if Architecture(backbone).origin != "timm":
        problem = f"its network {backbone!r} is not part of timm, and code is not shared"
        raise file_error(folder, problem, "export it instead: gratis export RUN --to torch-export")


def _check_card(folder: Path, manifest: Manifest, results: Results) -> None:
    """Compare the card with the results, from which it is made."""
    path = folder / CARD
    card = _read_card(path)
    said = claims(card)
    wrong = [
        metric
        for metric, percent in said.items()
        if (value := getattr(results, metric)) is None
        # What is no number is never near.
        or not abs(100 * value - percent) <= _ROUNDING
    ]
    if wrong or "clean" not in said:
        raise file_error(
            path, f"does not say what results.json says ({wrong or 'no table'})", _AGAIN
        )
    # Cards of other versions have other words.
    if manifest.version == version("gratis") and card != _card(folder, manifest):
        raise file_error(path, "is not the card that results.json makes", _AGAIN)


def _read_card(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        problem = f"cannot be read (byte {error.start} is not UTF-8)"
        raise file_error(path, problem, _AGAIN) from error


def _card(folder: Path, manifest: Manifest) -> str:
    run = RunFolder(folder)
    results = run.results()
    if results is None:
        raise GratisError(
            f"{folder}: has no results; measure it first: gratis evaluate {quoted(folder)}"
        )
    facts = CardFacts(
        name=manifest.name,
        licence=manifest.licence,
        recipe=run.recipe().to_yaml(),
        classes=run.data().classes,
        weights=file_digest(folder / WEIGHTS),
        version=manifest.version,
    )
    return model_card(results, facts)
