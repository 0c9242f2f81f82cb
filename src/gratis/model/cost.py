"""What one image costs, in passes."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from gratis.model.classifier import Classifier


def passes_per_image(model: Classifier, size: int) -> float:
    """Return the passes that one image of ``size`` pixels costs: 1 plus the denoiser's share.

    The share is the denoiser's floating-point operations over the classifier's, counted and not
    timed, so that every machine and every rerun plans the same training.
    """
    if model.denoiser is None:
        return 1.0
    device = next(model.parameters()).device
    image = torch.zeros(2, 3, size, size, device=device)
    training = model.training
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as whole:
        model(image)
    with torch.no_grad(), FlopCounterMode(display=False) as denoiser:
        model.denoiser(image)
    model.train(training)
    share = int(denoiser.get_total_flops())
    return 1.0 + share / (int(whole.get_total_flops()) - share)
