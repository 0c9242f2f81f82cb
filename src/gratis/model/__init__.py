"""The classifier: denoiser, resizing, normalisation, backbone and head."""

from gratis.model.classifier import Classifier, Output, logits_of
from gratis.model.cost import passes_per_image
from gratis.model.denoiser import Denoiser, DenoiserSettings
from gratis.model.external import Onnx, from_function, from_timm
from gratis.model.head import Head, HeadSettings
from gratis.model.settings import ModelSettings
from gratis.model.weights import read_weights

__all__ = [
    "Classifier",
    "Denoiser",
    "DenoiserSettings",
    "Head",
    "HeadSettings",
    "ModelSettings",
    "Onnx",
    "Output",
    "from_function",
    "from_timm",
    "logits_of",
    "passes_per_image",
    "read_weights",
]
