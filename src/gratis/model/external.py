"""timm networks with all their weights, as they are measured."""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gratis.errors import GratisError, file_error, printable
from gratis.model.matching import LoadLimits, Match, listed, match, refuse_misfit
from gratis.model.networks import Architecture
from gratis.model.resizing import resized
from gratis.model.timm_facts import own_facts, preparation
from gratis.model.weight_files import read_weights
from gratis.torch_state import fresh_torch_state

logger = logging.getLogger(__name__)


class Prepared(nn.Module):
    """A network with the resizing and the normalisation that it expects."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        input_size: int | None,
    ) -> None:
        """Wrap ``network``."""
        super().__init__()
        self.network, self.input_size = network, input_size
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(
                name, torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1), persistent=False
            )

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images (n, 3, height, width) in [0, 1]."""
        logits: Tensor = self.network((resized(images, self.input_size) - self.mean) / self.std)
        return logits


def from_timm(
    name: str, weights: Path | None, classes: int | None = None, input_size: int | None = None
) -> Prepared:
    """Return a timm model with its own normalisation and weights.

    ``name`` is one in ``timm.list_models()``, ``local-dir:PATH`` or ``hf-hub:USER/NAME``. The last
    two have weights; ``weights`` names a file of others (:func:`gratis.model.read_weights`). The
    default of ``classes`` is the number in the weights, that of ``input_size`` the size of the
    images, or that which the position embeddings of the weights are for.
    """
    architecture = Architecture(name)
    layers = class_layers(architecture.config)
    file = weights or architecture.own_weights()
    if file is None:
        raise GratisError(printable(f"{name}: no weights; name a local file of them (--weights)"))

    def features() -> nn.Module:
        with fresh_torch_state():
            return architecture.build(0)

    state = read_weights(file, features)
    outputs = classes or _classes(state, layers, name, file)
    with fresh_torch_state():
        network = architecture.build(outputs, input_size)
        trained = None if input_size else _trained_size(state, network)
        if trained is not None:
            network = architecture.build(outputs, trained)
    _load(network, state, file, f"{name} with {classes} classes" if classes else name)
    config: Any = network.pretrained_cfg
    size = input_size or trained or architecture.fixed_size
    if size is None and own_facts(architecture) is not None:
        # What gratis exported was trained on images resized to this size.
        size = int(architecture.config["input_size"][-1])
    prepared = Prepared(network, config["mean"], config["std"], size)
    for key, value in preparation(architecture).items():
        if key != "classes" or len(value) == outputs:
            setattr(prepared, key, value)
    return prepared


def load_all(network: nn.Module, weights: Path, what: str) -> None:
    """Load a file with all weights of a network, which ``what`` describes in messages."""
    _load(network, read_weights(weights, lambda: network), weights, what)


def _load(network: nn.Module, state: dict[str, Tensor], file: Path, what: str) -> None:
    found = match(state, network)
    # A model with a random part would be measured as what it is not.
    remedy = "use the model and the data that it was trained with"
    refuse_misfit(found, network, file, LoadLimits(what, remedy, tolerated=0))
    network.load_state_dict(found.tensors, strict=False)
    log_rest(found, file)


def _trained_size(state: Mapping[str, Tensor], network: nn.Module) -> int | None:
    """Return the image size of the position embeddings in a file, where it is another.

    ``None`` if it is that of the network, or cannot be told.
    """
    own: Any = getattr(network, "pos_embed", None)
    patches: Any = getattr(network, "patch_embed", None)
    given = next((v for k, v in state.items() if k.rpartition(".")[2] == "pos_embed"), None)
    if own is None or patches is None or given is None or given.ndim != 3:
        return None
    others = own.shape[1] - patches.num_patches  # those of the class token and the like
    side = math.isqrt(max(given.shape[1] - others, 0))
    if given.shape == own.shape or side == 0 or side * side != given.shape[1] - others:
        return None
    return int(side * patches.patch_size[0])


def class_layers(config: Any) -> tuple[str, ...]:
    """Return the names of the class layers in a configuration of timm's."""
    layers = config.get("classifier") or ()
    return (layers,) if isinstance(layers, str) else tuple(layers)


def log_rest(found: Match, file: Path, class_layers: Sequence[str] = ()) -> None:
    """Log which tensors the file lacks, and which it has in excess."""
    if found.missing:
        logger.warning(
            "%s: lacks %d tensors, which keep random values: %s",
            file,
            len(found.missing),
            listed(found.missing),
        )
    left = [name for name in found.unused if not name.startswith(tuple(class_layers))]
    if left:
        logger.warning("%s: %d tensors are not used: %s", file, len(left), listed(left))
    if found.prefix:
        logger.info("%s: the tensors named %s* are used", file, found.prefix)


def _classes(state: Mapping[str, Tensor], layers: Sequence[str], name: str, file: Path) -> int:
    """Return the number of classes of weights."""
    for layer in layers:
        for key, value in state.items():
            if key == f"{layer}.weight" or key.endswith(f".{layer}.weight"):
                return len(value)
    raise file_error(file, f"has no class layer of {name}", "say how many classes: classes=N")
