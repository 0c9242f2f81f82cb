"""The paper's head: three linear layers of one width with dropout, then the class layer."""

from itertools import pairwise
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from gratis.errors import GratisError
from gratis.model.dropout import dropout
from gratis.settings import Settings


class HeadSettings(Settings):
    """The size of the head; the defaults are those of the paper.

    Attributes:
        width: the outputs of every hidden layer.
        layers: the number of hidden layers; with 0 there is only the class layer.
        dropout: the dropout rate after every hidden layer.
    """

    width: Annotated[int, Field(gt=0)] = 512
    layers: Annotated[int, Field(ge=0)] = 3
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5


class Head(nn.Module):
    """Maps features to an embedding and logits."""

    def __init__(self, features: int, classes: int, settings: HeadSettings) -> None:
        """Build the layers: ``features`` -> width, then width -> width, then ``classes``."""
        super().__init__()
        widths = [features] + [settings.width] * settings.layers
        self.hidden = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        self.dropout = settings.dropout
        self.classes = nn.Linear(widths[-1], classes)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map features (n, d) to logits (n, classes) and the embedding (n, width).

        The embedding is the output of the last hidden layer before its dropout, so that dropout
        does not affect the comparison of two views. Without hidden layers it is the features.
        """
        embedding = features
        hidden = features
        for layer in self.hidden:
            embedding = functional.relu(layer(hidden))
            hidden = dropout(embedding, self.dropout, self.training)
        return self.classes(hidden), embedding


class NoHead(nn.Module):
    """Stands for the head of a network that has a class layer of its own."""

    def __init__(self, classes: int, name: str) -> None:
        """Expect ``classes`` logits of the network ``name``."""
        super().__init__()
        self.class_count, self.name = classes, name

    def forward(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (n, classes) as they are, and again as the embedding."""
        if not isinstance(logits, Tensor) or logits.shape[1:] != (self.class_count,):
            found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise GratisError(
                f"model.backbone: {self.name} returns {found}; return a network whose output is "
                f"(n, {self.class_count}), one logit for each class of the data"
            )
        return logits, logits
