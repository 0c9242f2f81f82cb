"""Commands that evaluate: evaluate, perturb."""

from pathlib import Path
from typing import Annotated

import typer

from gratis.cli.names import refuse_typos
from gratis.cli.options import (
    AsJson,
    DataName,
    DataRoot,
    Devices,
    EvaluationOverrides,
    ModelName,
    Sets,
    SkipBroken,
    TrustCode,
    ValFraction,
    data_overrides,
    flag,
    option,
)
from gratis.cli.output import (
    print_checks,
    print_folder,
    print_json,
    print_lines,
    print_results,
    print_tasks,
)
from gratis.errors import GratisError
from gratis.settings import overrides_of
from gratis.trusted_code import takes_trust_code


@takes_trust_code
def evaluate(
    model: ModelName,
    overrides: EvaluationOverrides = None,
    data: DataName = None,
    data_root: DataRoot = None,
    skip_broken: SkipBroken = False,
    val_fraction: ValFraction = None,
    weights: Annotated[
        Path | None,
        option(
            "The weights of a timm model, or of a function's network: .pt, .pth or .safetensors.",
            "FILE",
        ),
    ] = None,
    input_size: Annotated[
        int | None,
        typer.Option(
            help="The input size of the network in pixels. Default: the data's, or the only one "
            "that it takes.",
            min=1,
        ),
    ] = None,
    sets: Sets = None,
    suite: Annotated[
        str | None,
        option(
            "paper, transfer, table, standard, autoattack or full; see docs/attacks.md.", "NAME"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        option(
            "The folder for the results. Default: the folder of the run, or evaluations/NAME.",
            "DIR",
        ),
    ] = None,
    reuse: Annotated[
        bool,
        flag(
            "--reuse",
            "Use stored outcomes even if parts of the model cannot be compared with those that "
            "were measured.",
        ),
    ] = False,
    from_examples: Annotated[
        Path | None,
        option("Skip the attacks; classify the stored adversarial examples in this file.", "FILE"),
    ] = None,
    devices: Devices = None,
    trust_code: TrustCode = False,
    as_json: AsJson = False,
) -> None:
    """Measure the clean, geometric and attacked accuracy of a run or of any other model.

    A run is evaluated on its own data unless --data names other data. With --out or other
    evaluate.* settings, results go to a separate folder and results.json is not changed. --sets
    adds the transfer sets of a baseline. Run the same command again to resume an interrupted
    evaluation.
    """
    refuse_typos(data=data)
    from gratis.ranks import is_first
    from gratis.run import ModelSource, evaluate_run, evaluate_source, launched, rescore_run

    if from_examples is not None:
        given = (
            *(overrides, data, skip_broken, val_fraction, weights, input_size),
            *(sets, suite, out, reuse, devices, as_json),
        )
        if any(given):
            raise GratisError("--from-examples: takes a run and --data-root, and no other option")
        print_lines(rescore_run(Path(model), from_examples, data_root))
        return
    source = ModelSource(model, weights, input_size)
    changes = [*overrides_of({"evaluate.suite": suite}), *(overrides or [])]
    with launched(devices):
        if source.kind == "run" and data is None:
            _refuse_of_others(skip_broken or val_fraction is not None, reuse)
            results = evaluate_run(source.folder, sets, changes, data_root=data_root, out=out)
        else:
            on = data_overrides(data, data_root, skip_broken, val_fraction)
            results = evaluate_source(source, [*on, *changes], sets, out, reuse)
        if not is_first():
            return
    if as_json:
        print_json(results.model_dump(mode="json"))
        return
    print_results([results])
    print_tasks(results)
    print_checks(results)


def _refuse_of_others(chooses_images: bool, reuse: bool) -> None:
    """Refuse options that do not apply to a run on its own data."""
    if chooses_images:
        raise GratisError(
            "--skip-broken-images and --val-fraction: a run on its own data reads the same images "
            "as in training; leave them out, or name data with --data"
        )
    if reuse:
        raise GratisError(
            "--reuse: outcomes of a run on its own data are used again without it; leave it out"
        )


@takes_trust_code
def perturb(
    baseline: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="The run whose model the attacks of the transfer sets are made on."
        ),
    ],
    out: Annotated[Path, option("The folder for the sets.", "DIR")],
    data_root: DataRoot = None,
    trust_code: TrustCode = False,
    as_json: AsJson = False,
) -> None:
    """Make the perturbed validation sets of a baseline: geometric, transfer, fgsm_transfer."""
    from gratis.run import build_sets

    build_sets(baseline, out, data_root)
    print_folder(out, as_json=as_json)
