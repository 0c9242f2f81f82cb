"""External models: from timm, from an ONNX file, from a function of the user's."""

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gratis.digests import file_digest
from gratis.errors import GratisError, file_error, printable
from gratis.model.resizing import resized
from gratis.model.weights import load_whole
from gratis.settings import did_you_mean
from gratis.torch_state import isolated


class Prepared(nn.Module):
    """A network with the resizing and the normalisation that it expects."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        input_size: int | None,
    ) -> None:
        """Wrap ``network``.

        Args:
            network: maps normalised images to logits.
            mean: what to subtract from each channel.
            std: what to divide each channel by.
            input_size: height and width in pixels to resize to; ``None`` keeps those of the images.
        """
        super().__init__()
        self.network, self.input_size = network, input_size
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(
                name, torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1), persistent=False
            )

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images (n, 3, height, width) in [0, 1]."""
        logits: Tensor = self.network((resized(images, self.input_size) - self.mean) / self.std)
        return logits


def from_timm(name: str, weights: Path, classes: int, input_size: int | None = None) -> nn.Module:
    """Return a timm model with its own normalisation and the weights in a local file.

    Args:
        name: a name in ``timm.list_models()``.
        weights: a safetensors file, or tensors saved by torch; no code in it runs.
        classes: the number of classes.
        input_size: the height and width in pixels of the network's input; ``None`` keeps those of
            the images.

    Raises:
        GratisError: timm has no such model, or the weights are damaged or do not fit.
    """
    import timm

    if not timm.is_model(name):
        hint = did_you_mean(name, timm.list_models())
        raise GratisError(f"timm has no model {name!r}{hint[:200]}")
    with isolated():
        network = timm.create_model(name, pretrained=False, num_classes=classes)
    load_whole(network, weights, f"{name} with {classes} classes")
    config: Any = network.pretrained_cfg
    return Prepared(network, config["mean"], config["std"], input_size)


def from_function(spec: str) -> nn.Module:
    """Return the module that a function of the user's returns; this imports and runs their code.

    Args:
        spec: ``package.module:function``. The current folder is searched for the module last.

    Raises:
        GratisError: the function cannot be imported, fails, or returns something else.
    """
    name, _, attribute = spec.partition(":")
    try:
        with _importable(Path.cwd()):
            model = getattr(importlib.import_module(name), attribute)()
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        remedy = "name a function without arguments, as package.module:function"
        raise GratisError(printable(f"{spec}: cannot be called ({problem}); {remedy}")) from error
    if not isinstance(model, nn.Module):
        raise GratisError(f"{spec}: returns {type(model).__name__}; return a torch.nn.Module")
    return model


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let Python find modules in ``folder`` while the block runs, after all other places."""
    entry = str(folder)
    added = entry not in sys.path
    if added:
        sys.path.append(entry)
    try:
        yield
    finally:
        if added and entry in sys.path:
            sys.path.remove(entry)


class Onnx(nn.Module):
    """The network in an ONNX file, on the CPU and without gradients."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            GratisError: onnxruntime is not installed, or cannot read the file.
        """
        super().__init__()
        try:
            import onnxruntime
        except ImportError as error:
            remedy = "install it: pip install 'gratis[onnx]'"
            raise file_error(path, "needs onnxruntime", remedy) from error
        if not path.is_file():
            raise file_error(path, "no such ONNX file")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise file_error(path, f"cannot be read by onnxruntime ({error})") from error
        self._digest = file_digest(path)
        entry = self._session.get_inputs()[0]
        self._input = entry.name
        self._batch = entry.shape[0] if entry.shape and isinstance(entry.shape[0], int) else None

    def extra_repr(self) -> str:
        """Return the digest of the file, which identifies the network."""
        return self._digest

    def forward(self, images: Tensor) -> Tensor:
        """Return the first output for images (n, 3, height, width) in [0, 1]."""
        if self._batch is None:
            return self._run(images)
        parts = []
        for part in images.split(self._batch):
            # The batch size is fixed: the last batch repeats its images.
            rows = torch.arange(self._batch, device=part.device) % len(part)
            parts.append(self._run(part[rows])[: len(part)])
        return torch.cat(parts)

    def _run(self, images: Tensor) -> Tensor:
        pixels = images.detach().float().cpu().contiguous().numpy()
        return torch.as_tensor(self._session.run(None, {self._input: pixels})[0])
