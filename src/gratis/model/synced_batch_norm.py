"""Batch norm by the images of all ranks, also on a CPU, where torch has none."""

from typing import Any

import torch
from timm.layers.norm_act import BatchNormAct2d, convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from gratis.errors import GratisError
from gratis.ranks import sum_over_ranks


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm with the mean and variance over the images of all ranks."""

    def forward(self, images: Tensor) -> Tensor:
        """Normalise (n, channels, height, width)."""
        return _normalised(self, images) if self.training else super().forward(images)


class SyncedBatchNormAct2d(BatchNormAct2d):
    """The same for timm's batch norm with an activation."""

    def forward(self, images: Tensor) -> Tensor:
        """Normalise and activate (n, channels, height, width)."""
        if not self.training:
            normalised: Tensor = super().forward(images)  # type: ignore[no-untyped-call]
            return normalised
        activated: Tensor = self.act(self.drop(_normalised(self, images)))
        return activated


_SYNCED: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm2d: SyncedBatchNorm2d,
    BatchNormAct2d: SyncedBatchNormAct2d,
}


def synchronise_batch_norm(module: nn.Module, device: torch.device) -> nn.Module:
    """Return ``module`` with the batch norms that are trained synchronised over all ranks.

    Raises:
        GratisError: on a CPU, one is of another kind than ``BatchNorm2d`` and timm's.
    """
    if device.type == "cuda":
        converted: nn.Module = convert_sync_batchnorm(module)
        return converted
    for name, layer in list(module.named_modules()):
        if not isinstance(layer, _BatchNorm):
            continue
        if type(layer) not in _SYNCED or not layer.affine or not layer.track_running_stats:
            raise GratisError(
                f"model.backbone: {name} ({type(layer).__name__}) cannot be synchronised on CPUs; "
                "use one device"
            )
        kind = _SYNCED[type(layer)]
        synced = kind.__new__(kind)
        synced.__dict__.update(layer.__dict__)
        module.set_submodule(name, synced)
    return module


def _normalised(layer: _BatchNorm, images: Tensor) -> Tensor:
    found: tuple[Tensor, ...] = _Normalise.apply(images, layer.weight, layer.bias, layer.eps)
    normalised, mean, variance, count = found
    if layer.track_running_stats:
        _update_statistics(layer, mean, variance * (count / (count - 1)))
    return normalised


@torch.no_grad()
def _update_statistics(layer: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    assert layer.running_mean is not None
    assert layer.running_var is not None
    assert layer.num_batches_tracked is not None
    layer.num_batches_tracked.add_(1)
    momentum = layer.momentum
    if momentum is None:
        momentum = 1 / float(layer.num_batches_tracked)
    layer.running_mean.lerp_(mean, momentum)
    layer.running_var.lerp_(variance, momentum)


class _Normalise(torch.autograd.Function):
    """Normalisation by the statistics of all ranks.

    The gradients of weight and bias are those of this rank's images, which the ranks add up.
    """

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        variance, mean = torch.var_mean(images.to(weight.dtype), dim=(0, 2, 3), correction=0)
        variance, mean = variance.double(), mean.double()
        count = images.numel() // images.shape[1]
        # In float64: the variance is the difference of two sums.
        sums = torch.stack([count * mean, count * (variance + mean.square())])
        total = sum_over_ranks(torch.cat([sums.flatten(), sums.new_tensor([float(count)])]))
        every = total[-1]
        mean, square = (total[:-1] / every).view(2, -1)
        variance = (square - mean.square()).clamp_min(0)
        mean, variance = mean.to(weight.dtype), variance.to(weight.dtype)
        ctx.save_for_backward(images, weight, mean, variance)
        ctx.eps, ctx.every = eps, float(every)
        normalised = functional.batch_norm(images, mean, variance, weight, bias, eps=eps)
        ctx.mark_non_differentiable(mean, variance, every)
        return normalised, mean, variance, every

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        images, weight, mean, variance = ctx.saved_tensors
        by_images, by_weight, by_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, images, weight, mean, variance, None, None, False, ctx.eps, [True] * 3
        )
        of_all = sum_over_ranks(torch.stack([by_weight, by_bias])) / ctx.every
        # Mean and variance depend on the images of all ranks.
        inverse = (variance + ctx.eps).rsqrt()
        slope = -weight * inverse.square() * of_all[0]
        offset = -weight * inverse * of_all[1] - slope * mean
        by_images = torch.addcmul(by_images, images, slope.view(1, -1, 1, 1).to(images.dtype))
        return by_images.add_(offset.view(1, -1, 1, 1)), by_weight, by_bias, None
