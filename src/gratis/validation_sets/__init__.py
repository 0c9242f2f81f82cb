"""The frozen validation sets: geometric noise, and FGSM on a baseline model."""

from gratis.validation_sets.building import build
from gratis.validation_sets.geometric import Geometry, noisy
from gratis.validation_sets.manifest import MANIFEST, Manifest, split_hash, weights_hash
from gratis.validation_sets.perturbed_sets import PerturbedSets, load, made_from
from gratis.validation_sets.transfer import attacked, quantise

__all__ = [
    "MANIFEST",
    "Geometry",
    "Manifest",
    "PerturbedSets",
    "attacked",
    "build",
    "load",
    "made_from",
    "noisy",
    "quantise",
    "split_hash",
    "weights_hash",
]
