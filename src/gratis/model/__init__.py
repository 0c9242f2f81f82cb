"""Classifiers: the library's own, and external ones."""

from gratis.model.classifier import Classifier, Output, classify_with, logits_of
from gratis.model.cost import passes_per_image
from gratis.model.denoiser import Denoiser, DenoiserSettings
from gratis.model.external import from_timm, load_all
from gratis.model.functions import from_function
from gratis.model.head import Head, HeadSettings, NoHead
from gratis.model.inference import InferenceModel
from gratis.model.initial_weights import load_initial_weights
from gratis.model.networks import Architecture
from gratis.model.onnx_file import Onnx, external_weights
from gratis.model.resizing import Resized, resized
from gratis.model.settings import ModelSettings
from gratis.model.weight_files import read_weights, weights_file

__all__ = [
    "Architecture",
    "Classifier",
    "Denoiser",
    "DenoiserSettings",
    "Head",
    "HeadSettings",
    "InferenceModel",
    "ModelSettings",
    "NoHead",
    "Onnx",
    "Output",
    "Resized",
    "classify_with",
    "external_weights",
    "from_function",
    "from_timm",
    "load_all",
    "load_initial_weights",
    "logits_of",
    "passes_per_image",
    "read_weights",
    "resized",
    "weights_file",
]
