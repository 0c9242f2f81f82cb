"""Contexts in which torch computes the same, whatever the caller has set, and is then restored."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch

_DEVICE_TYPES = ("cpu", "cuda", "mps", "xpu")


@contextmanager
def fresh_torch_state(device: torch.device | str = "cpu") -> Iterator[None]:
    """Compute as in a fresh process while the block runs.

    Autocast and inference mode are off, gradients are recorded, float32 is the default dtype and
    the CPU the default device.
    Afterwards all of these are as the caller had them, and so are the global random generators of
    the CPU and of ``device``.
    """
    device, dtype = torch.device(device), torch.get_default_dtype()
    with ExitStack() as stack:
        stack.callback(torch.set_default_dtype, dtype)
        torch.set_default_dtype(torch.float32)
        # Only where the caller has set another one: such a context slows every call down.
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for each in _DEVICE_TYPES:
            if torch.is_autocast_enabled(each):
                stack.enter_context(torch.autocast(each, enabled=False))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
        )
        yield


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Compute on ``device`` in plain float32 while the block runs: no autocast and no TF32."""
    with ExitStack() as stack:
        # The newer settings are restored last: the older ones overwrite them.
        newer = _newer_precisions()
        for backend in newer:
            stack.callback(setattr, backend, "fp32_precision", backend.fp32_precision)
        for read, write, exact in _OLDER_PRECISIONS:
            # torch refuses to read the older settings where the caller has used the newer ones.
            with suppress(RuntimeError):
                stack.callback(write, read())
            write(exact)
        for backend in newer:
            backend.fp32_precision = "ieee"
        stack.enter_context(torch.autocast(device.type, enabled=False))
        yield


def _set_convolutions(allow_tf32: bool) -> None:
    torch.backends.cudnn.allow_tf32 = allow_tf32


_OLDER_PRECISIONS: tuple[tuple[Callable[[], Any], Callable[[Any], None], Any], ...] = (
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest"),
    (lambda: torch.backends.cudnn.allow_tf32, _set_convolutions, False),
)


def _newer_precisions() -> list[Any]:
    """Return the backends whose ``fp32_precision`` can be set, which torch 2.9 introduced."""
    backends: Any = torch.backends
    if not hasattr(backends.cudnn, "conv"):
        return []
    convolutions, networks = backends.cudnn.conv, backends.cudnn.rnn
    on_cpu = backends.mkldnn.matmul, backends.mkldnn.conv
    return [backends.cuda.matmul, convolutions, networks, *on_cpu]


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to one thread while the block runs, so that sums are added in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
