"""Loggers that people use: TensorBoard, Weights & Biases and MLflow.

The JSON-lines log of a run, ``metrics.jsonl``, is the truth. A process of its own for each logger
reads it while it grows, and sends what is new. Training never calls a logger, so that a logger that
fails or never answers cannot stop or slow it, and what it missed is sent later.
"""

from gratis.loggers.following import following
from gratis.loggers.names import NAMES, require

__all__ = ["NAMES", "following", "require"]
