"""The command ``gratis export``."""

from pathlib import Path
from typing import Annotated

from gratis.cli.options import AsJson, DataRoot, RunPath, TrustCode, option
from gratis.cli.output import print_folder
from gratis.trusted_code import takes_trust_code


@takes_trust_code
def export(
    run: RunPath,
    to: Annotated[
        str | None,
        option(
            "onnx, timm, torch-export or state-dict. Default: from the ending of --out.", "KIND"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        option("The file or folder to write. Default, with --to: the run's name.", "PATH"),
    ] = None,
    data_root: DataRoot = None,
    trust_code: TrustCode = False,
    as_json: AsJson = False,
) -> None:
    """Write a trained model as files that work without gratis.

    onnx: one file for onnxruntime. timm: a folder that timm.create_model
    loads. torch-export: one .pt2 file for torch.export.load. state-dict: a
    safetensors file, and a short Python file that loads it.

    The model takes images in [0, 1]. Resizing to the network's input and
    normalisation are part of the files, except for timm. Class names and
    measured accuracies are stored too. The files are read back, and their
    outputs compared with the model's on validation images.

    For example:

      gratis export runs/free --out pets.onnx

      gratis export runs/free --to timm --out pets
    """
    from gratis.run.exporting import export_run

    print_folder(export_run(run, out, to, data_root), as_json=as_json)
