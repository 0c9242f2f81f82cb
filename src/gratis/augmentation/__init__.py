"""Random views of a batch, made on its device, and the affine maps that made them.

Images are float (n, 3, H, W) in [0, 1]. One image never affects another.
"""

from gratis.augmentation.augment import Augment, AugmentSettings
from gratis.augmentation.warp import inverse, warp

__all__ = ["Augment", "AugmentSettings", "inverse", "warp"]
