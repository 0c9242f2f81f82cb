"""Classifiers: the library's own, and external ones."""

from gratis.model.classifier import Classifier, Output, classify_with, logits_of
from gratis.model.cost import passes_per_image
from gratis.model.denoiser import Denoiser, DenoiserSettings
from gratis.model.external import Onnx, from_function, from_timm
from gratis.model.head import Head, HeadSettings
from gratis.model.inference import InferenceModel
from gratis.model.settings import ModelSettings
from gratis.model.weights import read_weights

__all__ = [
    "Classifier",
    "Denoiser",
    "DenoiserSettings",
    "Head",
    "HeadSettings",
    "InferenceModel",
    "ModelSettings",
    "Onnx",
    "Output",
    "classify_with",
    "from_function",
    "from_timm",
    "logits_of",
    "passes_per_image",
    "read_weights",
]
