"""Training: the one step, the loop around it, and its checkpoints.

Only the settings are imported here, so that reading a recipe does not load the engine.
"""

from gratis.training.settings import TrainSettings

__all__ = ["TrainSettings"]
