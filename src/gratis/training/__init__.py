"""Training: the one step, the fit around it, and its checkpoints.

Only the settings are imported here, so that reading a recipe does not import the engine.
"""

from gratis.training.settings import TrainSettings

__all__ = ["TrainSettings"]
