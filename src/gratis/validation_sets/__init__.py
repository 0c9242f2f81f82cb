"""The fixed validation sets: geometric noise, and FGSM on a baseline model."""

from gratis.validation_sets.building import build
from gratis.validation_sets.perturbed_sets import PerturbedSets, load, made_from

__all__ = ["PerturbedSets", "build", "load", "made_from"]
