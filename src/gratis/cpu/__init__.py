"""Faster arithmetic on a CPU, applied to a model from outside and checked against the plain model.

* :func:`use_quick_stem`: a quicker gradient of the images, for training and attacks;
* :func:`folded`: a cheaper copy for attacks, with batch norms folded and convolutions packed.
"""

from gratis.cpu.folding import folded
from gratis.cpu.quick_stem import use_quick_stem

__all__ = ["folded", "use_quick_stem"]
