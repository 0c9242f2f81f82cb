"""Write a trained classifier as files that work without gratis.

Each kind of export is a file of this package with a function that takes the :class:`Content` and
the path, and checks what it wrote against the model. To add a kind, list its function in
``EXPORTERS``, and the ending of its path in ``ENDINGS``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from gratis.errors import GratisError, file_error
from gratis.exporters.content import Content
from gratis.exporters.onnx import write_onnx
from gratis.exporters.state_dict import write_state_dict
from gratis.exporters.timm import write_timm
from gratis.exporters.torch_export import write_torch_export
from gratis.settings import did_you_mean

__all__ = ["ENDINGS", "EXPORTERS", "Content", "Kind", "kind_of"]

Kind: TypeAlias = Literal["onnx", "timm", "torch-export", "state-dict"]

EXPORTERS: dict[str, Callable[[Content, Path], None]] = {
    "onnx": write_onnx,
    "timm": write_timm,
    "torch-export": write_torch_export,
    "state-dict": write_state_dict,
}
# A timm export is a folder.
ENDINGS: dict[str, str] = {
    "onnx": ".onnx",
    "timm": "",
    "torch-export": ".pt2",
    "state-dict": ".safetensors",
}


def kind_of(path: Path, kind: str | None) -> Kind:
    """Return the kind of an export: ``kind``, or that of the path's ending."""
    known = get_args(Kind)
    if kind is not None and kind not in known:
        raise GratisError(f"export: {kind!r} is unknown{did_you_mean(kind, list(known))}")
    by_ending = {ending: word for word, ending in ENDINGS.items() if ending}
    found: Kind | None = by_ending.get(path.suffix)  # type: ignore[assignment]
    wanted: Kind | None = kind or found  # type: ignore[assignment]
    if wanted is None:
        remedy = f"name a file ending in {', '.join(by_ending)}; or say the kind with --to"
        raise file_error(path, "does not say what to write", remedy)
    if ENDINGS[wanted] and found != wanted:
        raise file_error(path, f"a file of {wanted} ends in {ENDINGS[wanted]}", "rename it")
    return wanted
