"""The cost of one image in passes."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from gratis.model.classifier import Classifier


def passes_per_image(model: Classifier, size: int) -> float:
    """Return the passes of one image of ``size`` pixels: 1 plus the share of the denoiser.

    The share is the floating-point operations of the denoiser over those of the classifier. They
    are counted, not timed, so that the planned training is the same on every machine.
    """
    if model.denoiser is None:
        return 1.0
    image = next(model.parameters()).new_zeros(2, 3, size, size)
    training = model.training
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as whole:
        model(image)
    with torch.no_grad(), FlopCounterMode(display=False) as denoiser:
        model.denoiser(image)
    model.train(training)
    share = int(denoiser.get_total_flops())
    return 1.0 + share / (int(whole.get_total_flops()) - share)
