"""Whether a model's logits for an image depend on the other images of its batch."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gratis.errors import GratisError, printable
from gratis.model import logits_of

# The images that the model is also asked about one by one.
_ALONE = 8
# The change of an image's logits with the rest of its batch, as a share of their range, beyond the
# rounding of half precision.
_CHANGE = 0.01
# The range of equal logits, as a share of their size.
_EQUAL = 1e-4


def refuse_batch_dependence(model: nn.Module, images: Tensor, logits: Tensor, name: str) -> None:
    """Refuse a model whose logits for an image depend on the other images of its batch.

    The model is asked about a few images in the batch that gave ``logits``, in a smaller one, and
    one by one. A model that gives other logits each time is left to the sanity checks.
    """
    every = max(1, len(images) // _ALONE)
    few, expected = images[::every][:_ALONE], logits[::every][:_ALONE]
    remedy = "give batch norm its running statistics, and compute no mean over a batch"
    try:
        fewer, again = (logits_of(model(few)) for _ in range(2))
        answers = [logits_of(model(image)) for image in few.split(1)]
    except Exception as error:
        problem = f"fails on smaller batches, down to one image ({type(error).__name__}: {error})"
        raise refusal(name, f"{problem}; take batches of any size, and {remedy}") from error
    alone = _joined(answers, expected.shape[1], name)
    if _change(fewer, again) > _CHANGE:
        return
    found = max(_change(expected, fewer), _change(expected, alone))
    if found > _CHANGE:
        raise refusal(
            name,
            "gives an image other logits when the rest of its batch is different (they change by "
            f"{found:.0%} of their range); {remedy}",
        )


def _joined(answers: Sequence[Tensor], classes: int, name: str) -> Tensor:
    """Return the logits of several batches of one image, (n, classes)."""
    for logits in answers:
        if logits.shape != (1, classes):
            found = "x".join(map(str, logits.shape))
            problem = f"returns {found} numbers for one image, where 1x{classes} are right"
            raise refusal(name, f"{problem}; keep the dimension of the batch, which squeeze drops")
    return torch.cat(list(answers))


def _change(logits: Tensor, other: Tensor) -> float:
    """Return the largest change of the logits of an image, as a share of their range; a mean."""
    logits, other = logits.double(), other.double()
    # Logits that are all equal differ by rounding only.
    least = (_EQUAL * logits.abs().amax(1)).clamp(min=torch.finfo(torch.float64).tiny)
    spread = torch.maximum(logits.amax(1) - logits.amin(1), least)
    return float(((logits - other).abs().amax(1) / spread).clamp(max=1).mean())


def refusal(name: str, problem: str) -> GratisError:
    """Return an error on one line, even if the model's own message has more."""
    return GratisError(printable(f"{name}: {problem}"))
