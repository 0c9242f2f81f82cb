"""The training objective: a weighted sum of terms, one file each.

The file's name is the word in a recipe. To add a term, add a file with a subclass of
:class:`TermSettings` and one of :class:`Term`.
"""

from collections.abc import Mapping

from torch import Tensor

from gratis.data import Batch
from gratis.model import Output
from gratis.objective.base import Term, TermSettings
from gratis.settings import discover

__all__ = ["TERMS", "Objective", "Term", "TermSettings"]

TERMS: dict[str, type[TermSettings]] = discover(
    __name__,
    TermSettings,  # type: ignore[type-abstract]
)


class Objective:
    """A weighted sum of terms."""

    def __init__(self, terms: Mapping[str, TermSettings]) -> None:
        """Build the terms from their settings, by name."""
        self._weights = {name: settings.weight for name, settings in terms.items()}
        self._terms = {name: settings.build() for name, settings in terms.items()}

    @property
    def names(self) -> list[str]:
        """The names of the terms."""
        return list(self._terms)

    @property
    def views(self) -> int:
        """The number of views of each image that the terms need."""
        return max(term.views for term in self._terms.values())

    @property
    def needs_clean(self) -> bool:
        """Whether a term needs the output for the unperturbed views: one more pass of each."""
        return any(term.needs_clean for term in self._terms.values())

    def __call__(
        self, output: Output, batch: Batch, t: float, clean: Output | None = None
    ) -> dict[str, Tensor]:
        """Return each term's loss, a scalar, times its weight at progress ``t`` in [0, 1].

        ``clean`` is the output for the unperturbed views, if :attr:`needs_clean`.
        """
        return {
            name: term(output, batch, clean) * self._weights[name](t)
            for name, term in self._terms.items()
        }
