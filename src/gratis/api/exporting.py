"""Export a run."""

from os import PathLike
from pathlib import Path

from gratis.api.arguments import optional_path, python_names
from gratis.api.loading import source_of
from gratis.errors import GratisError
from gratis.exporters import Kind
from gratis.run.exporting import export_run
from gratis.trusted_code import takes_trust_code


@python_names
@takes_trust_code
def export(
    run: str | PathLike[str],
    out: str | PathLike[str] | None = None,
    *,
    to: Kind | None = None,
    data_root: str | PathLike[str] | None = None,
    trust_code: bool = False,
) -> Path:
    """Write the classifier of a run as files that work without gratis.

    Normalisation and resizing to the network's input are inside, the batch size is free, and class
    names and measured accuracies are stored too. What is written is read back and compared with
    the model on validation images.

    Args:
        run: a run or its folder, or ``hub:USER/NAME``.
        out: the file or folder to write, such as ``pets.onnx``. Default: the run's name, in the
            current folder.
        to: ``onnx``, ``timm`` (a folder), ``torch-export`` (``.pt2``) or ``state-dict``
            (``.safetensors``, with a Python file that loads it). Default: by the ending of
            ``out``.
        data_root: the folder that holds the run's data now. Default: where it was in training.
        trust_code: whether to import the code that the recipe of a run names as its network.
            Default: it is refused.

    Returns:
        The path written.

    Raises:
        GratisError: this kind cannot express the model, a package is missing, or the file cannot
            be written or computes something else.
    """
    source = source_of(run)
    if source.kind != "run":
        raise GratisError(f"{source.target}: is not a run; only runs can be exported")
    target, root = optional_path("out", out), optional_path("data_root", data_root)
    return export_run(Path(source.target), target, to, root)
