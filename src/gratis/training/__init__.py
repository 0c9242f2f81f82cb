"""Training: one training step, the loop around it (``fit``), and checkpoints.

Only the settings are imported here, so that reading a recipe does not import the training loop.
"""

from gratis.training.settings import TrainSettings

__all__ = ["TrainSettings"]
