"""What ``import gratis`` gives: plain functions over the packages below."""

from gratis.api.attack import attack
from gratis.api.evaluate import evaluate
from gratis.api.load import load
from gratis.api.predict import Prediction, predict
from gratis.api.train import train

__all__ = ["Prediction", "attack", "evaluate", "load", "predict", "train"]
