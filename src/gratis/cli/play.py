"""The command ``gratis play``."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from gratis.cli.options import NO_TYPE, TrustCode
from gratis.cli.output import print_folder
from gratis.errors import GratisError
from gratis.trusted_code import takes_trust_code


@takes_trust_code
def play(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL...]",
            help="One or two runs, timm models or functions with the same classes. Default: the "
            "two small models that come with gratis.",
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            help="Height and width of images for a model that does not know those of its training.",
            min=4,
            metavar="PIXELS",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="The address to listen on; 0.0.0.0 is every one.", metavar="HOST")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            help="Default: the first free one from 7860 on.", min=1, max=65535, metavar="PORT"
        ),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page.", metavar=NO_TYPE)
    ] = True,
    export: Annotated[
        Path | None,
        typer.Option(
            help="Write a folder that runs as a Hugging Face Space instead.", metavar="DIR"
        ),
    ] = None,
    trust_code: TrustCode = False,
) -> None:
    """Open a page on which you attack an image and see what models predict.

    Needs the extra 'play'. The page is served by this machine; uploads are
    deleted at the end, and nothing is sent anywhere.

    For example:

      gratis play

      gratis play runs/resnet18 runs/contrastive-scheduled
    """
    # It takes some ten seconds, most of them to import torch and gradio.
    typer.echo("Loading the models and the page ...", err=True)
    from gratis.run.bundled import BUNDLED

    # Before gradio is imported, which reads all of this once.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    targets = models or list(BUNDLED)
    with TemporaryDirectory(prefix="gratis-play-") as temporary:
        os.environ["GRADIO_TEMP_DIR"] = temporary
        _require_gradio()
        from gratis.playground import build_page, load_models, serve, write_space

        loaded = load_models(targets, size)
        if export is not None:
            write_space(loaded, export)
            print_folder(export, "app.py, requirements.txt, README.md, models, gratis")
            return
        page = build_page(loaded)
        serve(page, host, port, browser, lambda address: typer.echo(f"{address}  (Ctrl-C ends it)"))


def _require_gradio() -> None:
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise GratisError(
            "play: needs the extra 'play'; install it: pip install 'gratis[play]'"
        ) from error
