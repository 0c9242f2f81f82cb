"""The network in an ONNX file."""

import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from gratis.digests import digest, file_digest
from gratis.errors import GratisError, file_error
from gratis.model.resizing import resized
from gratis.model.stored_facts import read_facts

Layout = Literal["NCHW", "NHWC"]

# What the input may be, by onnxruntime's name.
_TYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}
_CHANNELS = 3
# What comes before the name of a file of external weights in ONNX's protocol buffers.
_LOCATION = re.compile(rb"\x0a\x08location\x12")


class Onnx(nn.Module):
    """The network in an ONNX file, on the CPU and without gradients.

    Its input may be float32, float16 or float64 in [0, 1], or uint8 in 0 to 255; channels may be
    first or last, and batch and image size fixed or not.
    """

    def __init__(self, path: Path, input_size: int | None = None) -> None:
        """Read the file.

        Args:
            path: the file.
            input_size: height and width in pixels to resize images to. Default: what the file
                fixes, or else those of the images.
        """
        super().__init__()
        self._session = _session(path)
        self._digest = _digest(path)
        entry = self._session.get_inputs()[0]
        self._input, self._type = entry.name, _TYPES.get(entry.type)
        if self._type is None:
            raise file_error(path, f"takes {entry.type}", f"export it for {', '.join(_TYPES)}")
        self.layout, self._batch, fixed = _shape(path, list(entry.shape))
        if input_size is not None and fixed not in (None, input_size):
            problem = f"takes images of {fixed}x{fixed} px only"
            raise file_error(path, problem, f"leave out --input-size {input_size}")
        self.input_size = input_size or fixed
        facts = read_facts(self._session.get_modelmeta().custom_metadata_map)
        # How the files that gratis exported prepare images, and what they call their classes.
        for key, value in facts.model_dump().items() if facts else ():
            setattr(self, key, value)

    def extra_repr(self) -> str:
        """Return the digest of the file and its weights, which identifies the network."""
        return self._digest

    def forward(self, images: Tensor) -> Tensor:
        """Return the first output for images (n, 3, height, width) in [0, 1]."""
        images = resized(images.detach().float().cpu(), self.input_size)
        if self._batch is None:
            return self._run(images)
        parts = []
        for part in images.split(self._batch):
            # The batch size is fixed: the last batch repeats its images.
            rows = torch.arange(self._batch) % len(part)
            parts.append(self._run(part[rows])[: len(part)])
        return torch.cat(parts)

    def _run(self, images: Tensor) -> Tensor:
        if self._type is np.uint8:
            images = (images * 255).round()
        if self.layout == "NHWC":
            images = images.permute(0, 2, 3, 1)
        pixels = np.ascontiguousarray(images.numpy(), dtype=self._type)
        return torch.as_tensor(self._session.run(None, {self._input: pixels})[0]).float()


def _session(path: Path) -> Any:
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
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise file_error(path, f"cannot be read by onnxruntime ({error})") from error


def _shape(path: Path, shape: list[Any]) -> tuple[Layout, int | None, int | None]:
    """Return the layout of an input, its batch size and its image size where they are fixed."""
    if len(shape) != 4:
        raise _other_input(path, shape)
    last = shape[3] == _CHANNELS and shape[1] != _CHANNELS
    batch, channels, height, width = (shape[i] for i in ((0, 3, 1, 2) if last else range(4)))
    fixed = {side for side in (height, width) if isinstance(side, int)}
    if (channels != _CHANNELS and isinstance(channels, int)) or len(fixed) > 1:
        raise _other_input(path, shape)
    return (
        "NHWC" if last else "NCHW",
        batch if isinstance(batch, int) else None,
        fixed.pop() if fixed else None,
    )


def _other_input(path: Path, shape: list[Any]) -> GratisError:
    shown = "x".join(map(str, shape))
    remedy = "export a network of square images of three channels, n x 3 x height x width"
    return file_error(path, f"takes an input of {shown}", remedy)


def external_weights(path: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of an ONNX file's external weights, by its name.

    Names of files that are not there are left out: bytes of weights may look like one.
    """
    content = path.read_bytes()
    named = {_text(content, match.end()) for match in _LOCATION.finditer(content)}
    beside = {name: path.parent / name for name in sorted(named) if ".." not in Path(name).parts}
    return {
        name: file_digest(file)
        for name, file in beside.items()
        # onnxruntime refuses files in other folders.
        if not Path(name).is_absolute() and _is_file(file)
    }


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # Too long, or with a zero byte.
        return False


def _digest(path: Path) -> str:
    """Return the digest of a file together with the files of its external weights."""
    external = [f"{name} {found}" for name, found in external_weights(path).items()]
    return digest([file_digest(path), *external])


def _text(content: bytes, start: int) -> str:
    """Return the text at ``start``: its length in one byte, or in two from 128 bytes on."""
    length, more = content[start : start + 2].ljust(2, b"\0")
    start += 1
    if length >= 128:
        length, start = length - 128 + 128 * more, start + 1
    return content[start : start + length].decode(errors="replace")
