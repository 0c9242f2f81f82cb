"""Contexts that compute the same whatever the caller has set, and restore it."""

from contextlib import ExitStack

import pytest
import torch

from gratis.torch_state import fresh_torch_state, full_precision, one_thread

CPU = torch.device("cpu")


def state():
    return (
        torch.is_autocast_enabled("cpu"),
        torch.is_inference_mode_enabled(),
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.get_rng_state().tolist(),
        torch.get_default_device(),
    )


CHANGED = ["autocast", "no_grad", "inference mode", "dtype", "device"]


@pytest.fixture(params=["nothing", *CHANGED, "everything"])
def caller(request):
    """The caller has changed this when the test begins."""
    contexts = {
        "autocast": torch.autocast("cpu", torch.bfloat16),
        "no_grad": torch.no_grad(),
        "inference mode": torch.inference_mode(),
        "device": torch.device("meta"),
    }
    changed = [name for name in contexts if request.param in (name, "everything")]
    dtype = torch.get_default_dtype()
    with ExitStack() as stack:
        for name in changed:
            stack.enter_context(contexts[name])
        if request.param in ("dtype", "everything"):
            torch.set_default_dtype(torch.float64)
        stack.callback(torch.set_default_dtype, dtype)
        yield request.param


@pytest.mark.parametrize("device", [CPU, "cpu"])
def test_isolated_is_a_fresh_process_and_restores_the_callers(caller, device):
    before = state()
    with pytest.raises(RuntimeError, match="stop"), fresh_torch_state(device):
        assert state()[:4] == (False, False, True, torch.float32)
        product = torch.rand(4, 4) @ torch.rand(4, 4)
        assert (product.dtype, product.device) == (torch.float32, CPU)
        torch.manual_seed(99)
        assert (torch.rand(2, requires_grad=True) * 2).requires_grad
        raise RuntimeError("stop")
    assert state() == before


def test_draws_in_an_isolated_block_start_from_the_callers_state():
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    with fresh_torch_state():
        assert torch.equal(torch.rand(3), wanted)
    assert torch.equal(torch.rand(3), wanted)


def test_one_thread_restores_the_number_even_after_an_exception():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(RuntimeError, match="stop"), one_thread():
            assert torch.get_num_threads() == 1
            raise RuntimeError("stop")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def backends():
    found = torch.backends
    return [found.cuda.matmul, found.cudnn.conv, found.cudnn.rnn, found.mkldnn.matmul]


def precisions():
    """Return the settings of both kinds; torch does not say some after others have been used."""
    older = []
    for read in (torch.get_float32_matmul_precision, lambda: torch.backends.cudnn.allow_tf32):
        try:
            older.append(read())
        except RuntimeError:
            older.append("unreadable")
    newer = []
    if hasattr(torch.backends.cudnn, "conv"):
        newer = [each.fp32_precision for each in backends()]
    return older, newer


def matmul_tf32():
    torch.backends.cuda.matmul.fp32_precision = "tf32"


def convolutions_ieee():
    torch.backends.cudnn.conv.fp32_precision = "ieee"


@pytest.mark.parametrize(
    "change",
    [
        lambda: None,
        lambda: torch.set_float32_matmul_precision("high"),
        lambda: torch.set_float32_matmul_precision("medium"),
        lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
        matmul_tf32,
        convolutions_ieee,
    ],
    ids=["nothing", "high", "medium", "allow_tf32", "newer matmul", "newer convolutions"],
)
def test_full_precision_is_plain_float32_and_restores_either_kind_of_setting(change):
    if change in (matmul_tf32, convolutions_ieee) and not hasattr(torch.backends.cudnn, "conv"):
        pytest.skip("this version of torch has only the older settings")
    original = precisions()
    try:
        change()
        before = precisions()
        with (
            torch.autocast("cpu", torch.bfloat16),
            pytest.raises(RuntimeError, match="stop"),
            full_precision(CPU),
        ):
            older, newer = precisions()
            assert older == ["highest", False]
            assert set(newer) <= {"ieee"}
            assert (torch.rand(4, 4) @ torch.rand(4, 4)).dtype == torch.float32
            raise RuntimeError("stop")
        assert precisions() == before
    finally:
        torch.set_float32_matmul_precision(original[0][0])
        torch.backends.cudnn.allow_tf32 = original[0][1]
        for backend, value in zip(backends() if original[1] else [], original[1], strict=True):
            backend.fp32_precision = value
    assert precisions() == original
