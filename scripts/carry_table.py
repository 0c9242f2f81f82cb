"""Carry a table that is made on several machines: its measured runs without their weights.

    python scripts/carry_table.py pack OUT FOLDER DATA      # of 'gratis reproduce' -> FOLDER
    python scripts/carry_table.py unpack FOLDER OUT DATA    # and back, on another machine

FOLDER then has the tables, and for each measured run its recipe, data, results and which images it
classifies correctly. The perturbed sets take 4 MB (see transfer_sets.py). After ``unpack``,
``gratis reproduce --out OUT`` trains the rows and seeds that are missing. DATA is the folder of the
decoded data set, below the cache's folder ``decoded``.
"""

import json
import shutil
import sys
from pathlib import Path

import transfer_sets

from gratis.errors import GratisError
from gratis.files import write_text
from gratis.json_files import read_json, write_json
from gratis.recipe import read_recipe
from gratis.results import Results
from gratis.validation_sets.manifest import MANIFEST

TABLES = ("table.md", "table.csv", "paired.md", "figure1.png")
RUN = ("data.json", "correct.safetensors")
SIGNS = "transfer-signs.npy"


def pack(out: Path, folder: Path, data: Path) -> None:
    """Write the tables, the measured runs and the sets of ``out`` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        shutil.copyfile(out / name, folder / name)
    found = json.loads((out / "results.json").read_text(encoding="utf-8"))
    write_json(folder / "results.json", _without_root(found))
    for run in sorted((out / "runs").iterdir()):
        if (run / "results.json").is_file():
            _pack_run(run, folder / "runs" / run.name)
    shutil.copyfile(out / "perturbed" / MANIFEST, folder / MANIFEST)
    transfer_sets.main("pack", out / "perturbed", data, folder / SIGNS)


def unpack(folder: Path, out: Path, data: Path) -> None:
    """Write the runs and the sets of ``folder`` into the new folder ``out``."""
    shutil.copytree(folder / "runs", out / "runs")
    sets = out / "perturbed"
    sets.mkdir()
    shutil.copyfile(folder / MANIFEST, sets / MANIFEST)
    transfer_sets.main("unpack", sets, data, folder / SIGNS)


def _pack_run(run: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in RUN:
        shutil.copyfile(run / name, target / name)
    recipe = read_recipe(run / "recipe.yaml")
    placeless = recipe.data.model_copy(update={"root": None})
    write_text(target / "recipe.yaml", recipe.model_copy(update={"data": placeless}).to_yaml())
    results = Results.read(run / "results.json")
    resolved = _without_root(results.resolved)
    results.model_copy(update={"resolved": resolved}).write(target / "results.json")
    note = read_json(run / "sets.json")
    write_json(target / "sets.json", note | {"sets": note["relative"]})


def _without_root(content: object) -> object:
    """Return JSON without the folder that the data was in."""
    if isinstance(content, dict):
        return {k: _without_root(v) for k, v in content.items() if k != "root"}
    return [_without_root(value) for value in content] if isinstance(content, list) else content


if __name__ == "__main__":
    try:
        {"pack": pack, "unpack": unpack}[sys.argv[1]](*map(Path, sys.argv[2:5]))
    except (IndexError, KeyError, TypeError):
        sys.exit(
            "usage: python scripts/carry_table.py pack OUT FOLDER DATA | unpack FOLDER OUT DATA"
        )
    except (GratisError, OSError) as error:
        sys.exit(str(error))
