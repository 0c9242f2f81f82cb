"""The robust regularisation of TRADES (Zhang et al. 2019, equation 5)."""

from torch import Tensor
from torch.nn import functional

from gratis.data import Batch
from gratis.model import Output
from gratis.objective.base import Term, TermSettings


class TradesSettings(TermSettings):
    """The TRADES term; the paper's beta is the weight, 6 in its experiments."""

    def build(self) -> "Trades":
        """Return the term."""
        return Trades()


class Trades(Term):
    """Draws the predictions for a perturbed view to those for the view itself.

    It needs a second pass of every view, the unperturbed one, which counts as a pass. At the views
    themselves the divergence has no gradient in the images: with free training, cross entropy on
    perturbed views moves delta away from zero.
    """

    needs_clean = True

    def __call__(self, output: Output, batch: Batch, clean: Output | None = None) -> Tensor:
        """Return the mean KL divergence of the perturbed from the clean predictions."""
        assert clean is not None
        # In float32 even in mixed precision: the divergence is a small difference.
        perturbed, expected = (o.logits.float().log_softmax(1) for o in (output, clean))
        return functional.kl_div(perturbed, expected, reduction="batchmean", log_target=True)
