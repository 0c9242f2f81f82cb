"""Faster arithmetic on a CPU, applied to a model from outside and checked against the plain model.

* :func:`use_quick_stem`: a quicker gradient of the images, for training and attacks;
* :func:`folded`: a cheaper copy for attacks, with batch norms folded and convolutions packed.
"""

from gratis.cpu.folding import folded
from gratis.cpu.packing import PackedConv2d, is_packable
from gratis.cpu.quick_stem import QuickStem, is_replaceable, use_quick_stem

__all__ = [
    "PackedConv2d",
    "QuickStem",
    "folded",
    "is_packable",
    "is_replaceable",
    "use_quick_stem",
]
