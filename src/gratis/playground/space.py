"""Write the page as a folder that runs as a Hugging Face Space."""

import re
import shutil
from importlib.metadata import requires, version
from pathlib import Path

import gratis
from gratis.errors import GratisError, file_error
from gratis.files import write_text
from gratis.playground.models import PlaygroundModel
from gratis.playground.page import TITLE
from gratis.run.shared_folder import is_shared
from gratis.run.sharing import stage

_APP = '''"""The page of gratis, with the models of this folder."""

from pathlib import Path

from gratis.playground import build_page, load_models, theme

models = load_models([str(path) for path in sorted(Path(__file__).parent.glob("models/*"))])
build_page(models).launch(theme=theme(), ssr_mode=False, max_file_size="20mb")
'''
_CARD = """---
title: "{title}"
sdk: gradio
sdk_version: {gradio}
app_file: app.py
---

# {title}

Attack an image and see what {names} predict. Made by `gratis play --export`; the folder holds the
program, version {version}, and the cards of the models are in `models`.
"""


def write_space(models: list[PlaygroundModel], folder: Path) -> None:
    """Write an application, its requirements, a card, the program and the models.

    Args:
        models: those to show; each must be a run.
        folder: a new or empty folder.

    Raises:
        GratisError: the folder is not empty, or a model is no run that can be shared.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise file_error(folder, "is not an empty folder", "name another with --export")
    runs = [_run_of(model) for model in models]
    for number, (model, run) in enumerate(zip(models, runs, strict=True), 1):
        # Numbered: the page shows them in the order of their names.
        target = folder / "models" / f"{number}-{model.name}"
        if is_shared(run):
            shutil.copytree(run, target)
        else:
            stage(run, model.name, "unknown", target)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(gratis.__file__).parent, folder / "gratis", ignore=ignored)
    write_text(folder / "app.py", _APP)
    write_text(folder / "requirements.txt", "\n".join(_requirements()) + "\n")
    names = " and ".join(model.name for model in models)
    facts = {"title": TITLE, "gradio": version("gradio"), "version": version("gratis")}
    write_text(folder / "README.md", _CARD.format(names=names, **facts))


def _run_of(model: PlaygroundModel) -> Path:
    if model.folder is None:
        raise GratisError(f"{model.name}: is no run; only runs are written to a Space")
    return model.folder


def _requirements() -> list[str]:
    """Return what the program needs, with the extra of the page."""
    found = []
    for line in requires("gratis") or []:
        requirement, _, marker = line.partition(";")
        extra = re.search(r"""extra == ['"](.*)['"]""", marker)
        if extra is None or extra[1] == "play":
            found.append(requirement.strip())
    return found
