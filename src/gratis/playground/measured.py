"""What was measured of a model, in a line below its name."""

from pathlib import Path

from gratis.run import RunFolder


def measured(folder: Path | None) -> str:
    """Return how a run was trained and how good it is; nothing for what is no measured run.

    Raises:
        GratisError: the results or the recipe in the folder are damaged.
    """
    results = None if folder is None else RunFolder(folder).results()
    if folder is None or results is None:
        return ""
    natural = "natural" in RunFolder(folder).recipe().adversary.chosen()
    said = f"Trained on {'images as they are' if natural else 'attacked images'}. "
    said += f"Of {results.n:,} images not seen in training {results.clean:.1%} are right"
    if results.robust is None:
        return f"{said}."
    return f"{said}, {results.robust:.1%} under attack (epsilon {255 * results.epsilon:.3g}/255)."
