"""Commands that share models: push, verify."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from gratis.cli.options import (
    AsJson,
    DataName,
    DataRoot,
    EvaluationOverrides,
    RunPath,
    Sets,
    SkipBroken,
    TrustCode,
    data_overrides,
    flag,
    option,
)
from gratis.cli.output import print_json, print_lines
from gratis.errors import GratisError, printable
from gratis.trusted_code import takes_trust_code

if TYPE_CHECKING:
    from gratis.run.verification import Claim, Verification

# The exit code where a claim does not hold.
_FAILS = 1


def push(
    run: RunPath,
    name: Annotated[str, typer.Argument(metavar="USER/NAME", help="The name on the hub.")],
    licence: Annotated[
        str, option("The licence of the weights, such as apache-2.0.", "NAME")
    ] = "unknown",
    private: Annotated[bool, flag("--private", "Make a new repository private.")] = False,
    images: Annotated[
        bool, flag("--images", "Show validation images in the report. They become public.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Share a measured run on the Hugging Face hub.

    The command uploads the weights as safetensors, the recipe, the results, the
    class names, a model card made from the results, and the report. It uploads
    no paths of this machine and none of your images, unless --images adds some
    validation images to the report. Log in first with: hf auth login

    The environment variable HF_ENDPOINT names another hub.

    For example:

      gratis push runs/free me/robust-pets --licence apache-2.0

      gratis predict hub:me/robust-pets photos/
    """
    from gratis.run.sharing import push_run

    address = push_run(run, name, licence, private, images)
    if as_json:
        print_json({"address": address})
    else:
        typer.echo(address)


@takes_trust_code
def verify(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="hub:USER/NAME, or the folder of a shared model or of a run."
        ),
    ],
    overrides: EvaluationOverrides = None,
    data: DataName = None,
    data_root: DataRoot = None,
    skip_broken: SkipBroken = False,
    sets: Sets = None,
    trust_code: TrustCode = False,
    as_json: AsJson = False,
) -> None:
    """Check the accuracies that a shared model claims.

    First every file is compared with its checksum, and the card with the
    results. Then the model is measured on this machine, with the settings and
    the seed of its results, on the data of its recipe or on --data.

    On the same images a claim holds if the measurement differs by at most 0.5%
    of the images, or 2 of them if that is more: machines round differently. On
    others, or with fewer (evaluate.images), both accuracies are samples, and a
    claim holds if the 95% interval of their difference includes zero.

    The exit code is 1 if a claim does not hold, and 2 if a file is missing or was
    changed.

    For example:

      gratis verify hub:me/robust-pets --data-root ~/pets

      gratis verify hub:me/robust-pets evaluate.images=500
    """
    from gratis.run.verification import verify as verify_claims

    if skip_broken and data is None:
        raise GratisError("--skip-broken-images: applies to other data; name it with --data")
    named = data_overrides(data, data_root, skip_broken) if data else []
    found = verify_claims(model, overrides or [], named, None if data else data_root, sets)
    if as_json:
        claims = [asdict(claim) | {"holds": claim.holds} for claim in found.claims]
        print_json({"model": model, "same_images": found.same_images, "claims": claims})
    else:
        _print_claims(found)
    wrong = [claim.metric for claim in found.claims if claim.holds is False]
    if wrong:
        typer.echo(printable(f"{model}: does not hold: {', '.join(wrong)}"), err=True)
        raise typer.Exit(_FAILS)
    if not as_json:
        print_lines(f"{printable(model)}: every claim that was measured holds")


def _print_claims(found: "Verification") -> None:
    what = "the same images" if found.same_images else "other images than the claims, or fewer"
    print_lines(f"measured on {what}")
    for claim in found.claims:
        print_lines(_line(claim))


def _line(claim: "Claim") -> str:
    start = f"{claim.metric:16}claimed {claim.claimed:6.1%}  "
    if claim.measured is None:
        return f"{start}not measured here"
    word = "holds" if claim.holds else "does not hold"
    points = (100 * value for value in (claim.measured - claim.claimed, claim.low, claim.high))
    difference = "difference {:+.1f} points ({:+.1f} to {:+.1f})".format(*points)
    return f"{start}measured {claim.measured:6.1%}  {difference}  {word}"
