"""Natural training: batches are not perturbed."""

from torch import Tensor

from gratis.adversary.base import Adversary, AdversarySettings, Model
from gratis.data import Batch


class NaturalSettings(AdversarySettings):
    """Natural training has no settings."""

    def build(self, seed: int) -> "Natural":
        """Return the adversary."""
        return Natural()


class Natural(Adversary):
    """Trains on the views as they are."""

    perturbs = False

    def perturb(self, model: Model, batch: Batch, t: float, micro_batches: int = 1) -> Tensor:
        """Return the views."""
        return batch.views
