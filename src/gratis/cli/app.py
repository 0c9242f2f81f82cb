"""The application: every command, in the order of its help."""

from gratis.cli import data, evaluate, predict, recipes, reproduce, study, train
from gratis.cli.base import App

app = App(
    help="Robust image classifiers at the price of ordinary training.",
    epilog="Start with: gratis reproduce",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for command in (
    train.train,
    train.resume,
    train.timing,
    evaluate.evaluate,
    evaluate.perturb,
    predict.predict,
    reproduce.reproduce,
    study.study,
    reproduce.report,
    data.data,
):
    app.command()(command)
app.add_typer(recipes.recipes_app, name="recipes", no_args_is_help=True)
