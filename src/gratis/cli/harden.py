"""The command that makes a trained model robust: harden."""

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from gratis.cli.options import (
    AsJson,
    DataName,
    DataRoot,
    Log,
    OnDivergence,
    Sets,
    SkipBroken,
    TrustCode,
    ValFraction,
    option,
)
from gratis.cli.output import print_run
from gratis.settings import overrides_of
from gratis.trusted_code import takes_trust_code

if TYPE_CHECKING:
    from gratis.attacks import Norm
    from gratis.run import HardeningAdversary, RunFolder


@takes_trust_code
def harden(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="The trained model: the folder of a run; hub:USER/NAME, a run that was shared; a "
            "timm model (with --weights); local-dir:PATH or hf-hub:USER/NAME; or "
            "package.module:function.",
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Overrides, such as train.batch_size=32."),
    ] = None,
    data: DataName = None,
    data_root: DataRoot = None,
    skip_broken: SkipBroken = False,
    val_fraction: ValFraction = None,
    weights: Annotated[
        Path | None,
        option(
            "The local weights of a timm model, such as a state dict of torchvision's resnet18.",
            "FILE",
        ),
    ] = None,
    input_size: Annotated[
        int | None,
        typer.Option(
            help="The input size of a timm model in pixels. Default: the images' own; for "
            "folder:PATH, the one that the model was designed for. A smaller size trains faster.",
            min=8,
        ),
    ] = None,
    budget: Annotated[
        str | None,
        option(
            "How long training may take, such as 90s, 20m or 1.5h. Measuring takes additional "
            "time. Default: 20m, or what train.epochs=N takes.",
            "TIME",
        ),
    ] = None,
    epsilon: Annotated[
        str | None,
        typer.Option(
            help="The largest change that the model shall survive, in [0, 1] units: of a pixel "
            "value in L-infinity, of the whole image in L2. Default: 4/255 in L-infinity, 0.5 in "
            "L2.",
            metavar="FRACTION",
        ),
    ] = None,
    norm: Annotated[
        str,
        typer.Option(
            help="The norm of --epsilon: linf, or l2, which is then measured besides L-infinity.",
            metavar="linf|l2",
        ),
    ] = "linf",
    adversary: Annotated[
        str,
        option(
            "free: free training with 4 replays; n_fgsm: N-FGSM, which takes two passes per image.",
            "free|n_fgsm",
        ),
    ] = "free",
    keep_clean: Annotated[
        float | None,
        option(
            "Choose the most robust model that loses at most this many points of clean "
            "accuracy, such as 2. Default: the model with the best mean over all epsilons.",
            "POINTS",
            min=0,
            max=100,
        ),
    ] = None,
    out: Annotated[
        Path | None, option("The folder of the run. Default: runs/harden-MODEL-DATA-seedN.", "RUN")
    ] = None,
    sets: Sets = None,
    on_divergence: OnDivergence = None,
    log: Log = None,
    trust_code: TrustCode = False,
    as_json: AsJson = False,
) -> None:
    """Make a trained model robust, and report the clean accuracy that it loses.

    1. If the data has other classes than the model, the model gets a new class
    layer and trains naturally, for 30% of the budget.

    2. The model trains under attack. Epsilon grows from 0 over the first 15% of
    the training (with --adversary n_fgsm: 60%).

    3. The models between the natural and the hardened one are measured on
    held-out training images. The best is chosen; with --keep-clean, the most
    robust one that keeps its clean accuracy.

    4. The natural and the chosen model are evaluated on validation images.

    Example: gratis harden resnet18 --weights pets.pt --data folder:pets

    All other commands take the run as a model; its subfolder 'natural' holds the
    model before hardening. Run the same command again, or 'gratis resume RUN', to
    continue an interrupted run. With another --keep-clean, the command chooses
    again without training.
    """
    from gratis.api.hardening import harden as harden_model

    in_epochs = any(text.startswith("train.epochs=") for text in overrides or ())
    # Unwrapped, because errors here name options and not the arguments of Python.
    run: RunFolder = inspect.unwrap(harden_model)(
        model,
        weights=weights,
        input_size=input_size,
        data=data,
        data_root=data_root,
        skip_broken=skip_broken,
        budget="20m" if budget is None and not in_epochs else budget,
        epsilon=epsilon,
        # The values of norm and adversary are checked there.
        norm=cast("Norm", norm),
        adversary=cast("HardeningAdversary", adversary),
        keep_clean=keep_clean,
        out=out,
        sets=sets,
        log=log or (),
        overrides=[
            *overrides_of(
                {"train.on_divergence": on_divergence, "data.val_fraction": val_fraction}
            ),
            *(overrides or []),
        ],
    )
    results = run.results()
    assert results is not None
    print_run(results, run.path, as_json)
