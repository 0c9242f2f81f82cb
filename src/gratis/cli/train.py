"""Commands that train: train, resume, timing."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gratis.cli.names import refuse_typos
from gratis.cli.options import (
    AsJson,
    DataName,
    DataRoot,
    Devices,
    Log,
    OnDivergence,
    Overrides,
    ProfileName,
    RecipeName,
    RunPath,
    Sets,
    SkipBroken,
    StartWeights,
    TrustCode,
    ValFraction,
    data_overrides,
    initial_weight_overrides,
    option,
)
from gratis.cli.output import print_json, print_run, print_timing
from gratis.settings import overrides_of
from gratis.trusted_code import takes_trust_code


@takes_trust_code
def train(
    recipe: RecipeName,
    overrides: Overrides = None,
    data: DataName = None,
    data_root: DataRoot = None,
    profile: ProfileName = None,
    weights: StartWeights = None,
    out: Annotated[
        Path | None, option("The folder of the run. Default: runs/RECIPE-DATA-seedN.", "RUN")
    ] = None,
    sets: Sets = None,
    budget: Annotated[
        str | None,
        option(
            "How long training takes, such as 90s, 20m, 1.5h or 2gpuh, instead of epochs. The "
            "evaluation takes additional time.",
            "TIME",
        ),
    ] = None,
    on_divergence: OnDivergence = None,
    skip_broken: SkipBroken = False,
    val_fraction: ValFraction = None,
    log: Log = None,
    devices: Devices = None,
    trust_code: TrustCode = False,
    as_json: AsJson = False,
) -> None:
    """Train a recipe and evaluate the model.

    A packaged recipe gets the sizes of a profile. Default of --profile: 'digits' for the data set
    digits, and 'record' for the recipes record/*. For other data it is 'tiny-imagenet' with a GPU;
    without one, 'photos-cpu' for your own images and 'tiny-imagenet-cpu' for the rest. Your own
    .yaml file is used as it is.

    Run the same command again to resume an interrupted run.
    """
    refuse_typos(recipe, profile, data)
    from gratis.api.training import default_folder
    from gratis.ranks import is_first
    from gratis.recipe import resolve_by_default
    from gratis.run import launched, train_on_other_rank
    from gratis.run import train as train_recipe

    changes = [
        *data_overrides(data, data_root, skip_broken, val_fraction),
        *initial_weight_overrides(weights),
        *overrides_of({"train.on_divergence": on_divergence, "train.budget": budget}),
        *(overrides or []),
    ]
    resolved = resolve_by_default(recipe, profile, changes)
    folder = out or default_folder(resolved)
    with launched(devices):
        if is_first():
            print_run(train_recipe(resolved, folder, sets, log=log or ()), folder, as_json)
        else:
            train_on_other_rank(folder, sets)


@takes_trust_code
def resume(
    run: RunPath,
    sets: Sets = None,
    data_root: DataRoot = None,
    on_divergence: OnDivergence = None,
    log: Log = None,
    devices: Devices = None,
    trust_code: TrustCode = False,
    as_json: AsJson = False,
) -> None:
    """Resume an interrupted run from its last checkpoint.

    A run may continue on another number of devices; sums are then added in another order.
    """
    from gratis.ranks import is_first
    from gratis.run import launched, train_on_other_rank
    from gratis.run import resume as resume_run

    moved = data_overrides(None, data_root, False)
    changes = [*moved, *overrides_of({"train.on_divergence": on_divergence})]
    with launched(devices):
        if is_first():
            print_run(resume_run(run, sets, changes, log or ()), run, as_json)
        else:
            train_on_other_rank(run, sets)


def timing(
    recipe: RecipeName,
    overrides: Overrides = None,
    data: DataName = None,
    data_root: DataRoot = None,
    profile: ProfileName = None,
    seconds: Annotated[float, typer.Option(help="How long to measure.", min=1)] = 20,
    skip_broken: SkipBroken = False,
    val_fraction: ValFraction = None,
    as_json: AsJson = False,
) -> None:
    """Time each part of a training step; compare throughput with a bare forward/backward loop."""
    refuse_typos(recipe, profile, data)
    from gratis.recipe import resolve_by_default
    from gratis.run import time_recipe

    changes = [*data_overrides(data, data_root, skip_broken, val_fraction), *(overrides or [])]
    resolved = resolve_by_default(recipe, profile, changes)
    found = time_recipe(resolved, seconds)
    if as_json:
        print_json(asdict(found))
    else:
        print_timing(resolved.title, found)
