"""Export as one ONNX file, with resizing and normalisation inside."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from gratis.errors import file_error
from gratis.exporters.content import Content
from gratis.files import atomic_file
from gratis.model import Onnx

# That of antialiased resizing.
_OPSET = 18


def write_onnx(content: Content, path: Path) -> None:
    """Write an ONNX file whose input is ``images`` and whose output is ``logits``.

    The batch size is dynamic. ``content.facts`` become the metadata.
    """
    _require(path)
    with atomic_file(path) as temporary:
        program = _convert(content, path)
        program.model.metadata_props.update(content.facts)
        program.save(str(temporary), external_data=False)
        content.check(Onnx(temporary), str(path))


def _require(path: Path) -> None:
    try:
        import onnx
        import onnxruntime
        import onnxscript

        del onnx, onnxruntime, onnxscript
    except ImportError as error:
        remedy = "install them: pip install 'gratis[onnx]'"
        raise file_error(path, "needs onnx, onnxscript and onnxruntime", remedy) from error


def _convert(content: Content, path: Path) -> Any:
    example = content.example
    try:
        with _silent():
            return torch.onnx.export(
                content.model,
                (example,),
                dynamo=True,
                opset_version=_OPSET,
                input_names=["images"],
                output_names=["logits"],
                dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1)}},
                verbose=False,
            )
    except Exception as error:
        problem = f"the model cannot be expressed in ONNX ({_first_line(error)})"
        raise file_error(path, problem, "choose another kind, such as torch-export") from error


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep the exporter's reports from the terminal while the block runs."""
    previous = logging.root.manager.disable
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(previous)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
