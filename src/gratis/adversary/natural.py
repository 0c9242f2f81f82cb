"""Nobody perturbs: natural training."""

from torch import Tensor

from gratis.adversary.contract import Adversary, AdversarySettings, Model
from gratis.data import Batch


class NaturalSettings(AdversarySettings):
    """Natural training has no settings."""

    def build(self, seed: int) -> "Natural":
        """Return the adversary that leaves every batch as it is."""
        return Natural()


class Natural(Adversary):
    """Trains on the views as they are."""

    def perturb(self, model: Model, batch: Batch, t: float) -> Tensor:
        """Return the views."""
        return batch.views
