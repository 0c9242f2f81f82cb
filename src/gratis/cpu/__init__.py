"""Faster arithmetic on a CPU: optional, applied from outside a model, checked against it."""

from gratis.cpu.folding import folded
from gratis.cpu.packing import Packed, packable
from gratis.cpu.stem import Stem, quicken, suits

__all__ = ["Packed", "Stem", "folded", "packable", "quicken", "suits"]
