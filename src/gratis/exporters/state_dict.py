"""Export as plain weights, with a short Python file beside them that loads them."""

import importlib.util
import inspect
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2
from safetensors.torch import save

from gratis.errors import file_error
from gratis.exporters.content import Content
from gratis.files import atomic_file, write_text
from gratis.model.backbone import replace_stem, submodule
from gratis.model.denoiser import MULTIPLE, Denoiser
from gratis.model.head import Head
from gratis.model.resizing import resized

# The first line of the Python file, by which an earlier one is recognised.
_FIRST = '"""Load a classifier that gratis exported.'


def script_of(path: Path) -> Path:
    """Return the path of the Python file beside the weights at ``path``."""
    # A name that Python can import.
    return path.with_name("load_" + re.sub(r"\W", "_", path.stem) + ".py")


def write_state_dict(content: Content, path: Path) -> None:
    """Write a safetensors file, and ``load_NAME.py`` beside it, which needs torch and timm."""
    if content.head is None:
        problem = "the network of a function cannot be built without its code"
        raise file_error(path, problem, "export it as onnx or torch-export")
    script = script_of(path)
    if script.exists() and not _is_ours(script):
        raise file_error(script, "exists already", "rename it, or choose another name")
    text = _script(content, path)
    state = {k: v.detach().contiguous().clone() for k, v in content.classifier.state_dict().items()}
    with atomic_file(path) as weights:
        # As bytes: the library's own writing lets nobody else read the file.
        weights.write_bytes(save(state, metadata=content.facts | {"format": "pt"}))
        # Beside the weights, where it looks for them.
        draft = script_of(weights)
        draft.write_text(text, encoding="utf-8")
        content.check(_imported(draft).load(), str(path))
        draft.unlink()
        write_text(script, text)


def _is_ours(script: Path) -> bool:
    return script.is_file() and script.read_bytes().startswith(_FIRST.encode())


def _script(content: Content, path: Path) -> str:
    """Return a Python file that builds the network from timm's backbone and our own layers."""
    settings, classifier = content.classifier.settings, content.classifier
    backbone, options = content.in_timm
    parts: list[Any] = [resized, Head]
    parts += [Denoiser] if settings.denoiser else []
    parts += [submodule, replace_stem] if settings.stem == "small" else []
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gratis.exporters"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # Python, not HTML
    )
    return environment.get_template("load.py.jinja").render(
        first=_FIRST,
        name=script_of(path).stem,
        weights=path.name,
        size=content.model.image_size,
        source="\n\n".join(map(inspect.getsource, parts)),
        backbone=backbone,
        options=options,
        small_stem=settings.stem == "small",
        features=_features(content),
        head=settings.head.model_dump(),
        denoiser=settings.denoiser.model_dump() if settings.denoiser else None,
        multiple=MULTIPLE,
        input_size=classifier.input_size,
        mean=classifier.mean.flatten().tolist(),
        std=classifier.std.flatten().tolist(),
        classes=json.dumps(list(content.model.classes)),
    )


def _features(content: Content) -> int:
    head = content.head
    assert head is not None
    first: Any = head.hidden[0] if len(head.hidden) else head.classes
    return int(first.in_features)


def _imported(script: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(script.stem, script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
