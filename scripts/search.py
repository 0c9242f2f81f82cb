"""Search for the hyperparameters of a recipe on held-out training images.

    uv run --group search python scripts/search.py record/free-scheduled --data-root DIR --out OUT \
        --profile record-small --trials 30 train.epochs=10

Each trial trains the recipe once with hyperparameters from optuna. Its score is the PGD accuracy of
the averaged weights on images held out from the training set (``train.held_out_per_class``).
The validation images are not used. The study is in OUT/study.log: after an interrupt, the same
command continues it. At the end the script prints the trials, best first, and the overrides of the
best one.
"""

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from gratis.errors import GratisError, Interrupted
from gratis.recipe import Recipe, resolve
from gratis.run.training import train_only

Draw = Callable[[optuna.Trial], list[str]]
SEED, SHOWN = 0, 10
# Per class: 500 images of 20 classes.
HELD_OUT = 25


def of_all(trial: optuna.Trial) -> list[str]:
    """Draw the hyperparameters of every recipe: learning rate, smoothing and weight decay."""
    rate = trial.suggest_float("rate", 1e-3, 1e-2, log=True)
    smoothing = trial.suggest_float("smoothing", 0.0, 0.3)
    decay = trial.suggest_float("weight_decay", 0.005, 0.2, log=True)
    line = f"{{linear: {{start: {rate:.3g}, stop: 0, begin: 0.2}}}}"
    return [
        f"train.learning_rate={{warm_up: {{end: 0.2, then: {line}}}}}",
        f"objective.cross_entropy.smoothing={smoothing:.2g}",
        f"train.weight_decay={decay:.2g}",
    ]


def of_free(trial: optuna.Trial, word: str = "free") -> list[str]:
    """Draw the schedules of replays and epsilon, which may be constant, and the step size."""
    last = trial.suggest_int("replays", 1, 6)
    reached = trial.suggest_float("reached", 0.0, 0.9)
    strongest = trial.suggest_float("epsilon", 6, 12)
    step = trial.suggest_float("step", 0.3, 1.25)
    replays: object = last
    epsilon = f"{strongest / 255:.4g}"
    if reached > 0.05:
        # Replays grow one at a time, all of them before epsilon reaches its maximum.
        replays = {round(reached * k / last, 2) if k else 0: k + 1 for k in range(last)}
        replays = json.dumps({"steps": replays}).replace('"', "")
        epsilon = f"{{linear: {{start: 0, stop: {epsilon}, end: {reached:.2g}}}}}"
    keys = f"adversary.{word}"
    return [
        f"{keys}.replays={replays}",
        f"{keys}.epsilon={epsilon}",
        f"{keys}.step_size={step * strongest / 255:.4g}",
    ]


def of_cached(trial: optuna.Trial) -> list[str]:
    """Draw the same for ``cached``."""
    return of_free(trial, "cached")


def of_n_fgsm(trial: optuna.Trial) -> list[str]:
    """Draw epsilon, the noise and the step size."""
    strongest = trial.suggest_float("epsilon", 6, 12)
    step = trial.suggest_float("step", 0.5, 1.5)
    noise = trial.suggest_float("noise", 0.5, 2.5)
    return [
        f"adversary.n_fgsm.epsilon={strongest / 255:.4g}",
        f"adversary.n_fgsm.step_size={step * strongest / 255:.4g}",
        f"adversary.n_fgsm.noise={noise:.2g}",
    ]


SPACES: dict[str, Draw] = {"free": of_free, "cached": of_cached, "n_fgsm": of_n_fgsm}


def overrides_of(trial: optuna.Trial, word: str) -> list[str]:
    """Return a trial's hyperparameters as overrides of the recipe."""
    return [*of_all(trial), *SPACES[word](trial)]


def accuracies(recipe: Recipe, folder: Path) -> dict[str, float]:
    """Train a recipe in ``folder``; return its accuracies on the held-out images."""
    train_only(recipe, folder)
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    measured = [found for line in lines if (found := json.loads(line).get("held_out"))]
    last: dict[str, float] = measured[-1]
    return last


def objective(args: argparse.Namespace, word: str) -> Callable[[optuna.Trial], float]:
    """Return the function that optuna maximises: the held-out PGD accuracy of a trial."""

    def trained(trial: optuna.Trial) -> float:
        drawn = overrides_of(trial, word)
        trial.set_user_attr("overrides", drawn)
        recipe = recipe_of(args, drawn)
        try:
            seen = accuracies(recipe, args.out / f"trial-{trial.number}")
        except Interrupted as stopped:
            # optuna would count it as a failed trial and start the next one.
            raise KeyboardInterrupt from stopped
        trial.set_user_attr("clean", seen["clean"])
        return seen["pgd"]

    return trained


def recipe_of(args: argparse.Namespace, drawn: list[str]) -> Recipe:
    """Return the recipe with a trial's hyperparameters; the user's overrides come last."""
    # Measure the held-out images at the end of training only.
    held_out = [f"train.held_out_per_class={HELD_OUT}", "train.monitor_every_epochs=1000000"]
    root = f"data.root={json.dumps(str(args.data_root.absolute()))}"
    return resolve(args.recipe, args.profile, [*drawn, *held_out, root, *args.overrides])


def finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return the completed trials, best first."""
    done = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    return sorted(done, key=lambda trial: trial.value or 0.0, reverse=True)


def show(done: list[optuna.trial.FrozenTrial]) -> None:
    """Print the best trials, and the overrides of the best one."""
    names = sorted(done[0].params) if done else []
    print(f"\n| trial | held-out PGD | held-out clean | {' | '.join(names)} |")
    print("|" + " --- |" * (3 + len(names)))
    for trial in done[:SHOWN]:
        numbers = [f"{trial.params[name]:.3g}" for name in names]
        shares = [f"{100 * (trial.value or 0):.1f}", f"{100 * trial.user_attrs['clean']:.1f}"]
        print(f"| {trial.number} | {' | '.join([*shares, *numbers])} |")
    if done:
        print("\n" + " \\\n".join(f"'{text}'" for text in done[0].user_attrs["overrides"]))


def arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description="Search for the hyperparameters of a recipe.")
    parser.add_argument("recipe", help="a recipe with one of the adversaries: " + ", ".join(SPACES))
    parser.add_argument("--profile", default="record-small", help="profile (default: record-small)")
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the study and its runs")
    parser.add_argument(
        "--trials", type=int, default=30, help="completed trials in total (default: 30)"
    )
    parser.add_argument("--minutes", type=float, help="start no trial after this time")
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="overrides of every trial"
    )
    return parser.parse_intermixed_args()


def main() -> None:
    """Search, and print the best trials."""
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    recipe = recipe_of(args, [])
    (word,) = recipe.adversary.chosen()
    if word not in SPACES:
        known = ", ".join(SPACES)
        raise SystemExit(f"{args.recipe}: no search space for {word!r}; choose one with {known}")
    if recipe.train.held_out_per_class == 0:
        raise SystemExit("train.held_out_per_class: set it to 1 or more, the score needs it")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        # Other settings are another study.
        study_name=" ".join([args.recipe, args.profile, *args.overrides]),
        storage=JournalStorage(JournalFileBackend(str(args.out / "study.log"))),
        direction="maximize",
        load_if_exists=True,
    )
    # A new seed for every continuation: the same seed would repeat the first draws.
    seed = SEED + len(study.trials)
    study.sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True)
    left = max(0, args.trials - len(finished(study)))
    seconds = None if args.minutes is None else 60 * args.minutes
    with suppress(KeyboardInterrupt):
        study.optimize(objective(args, word), n_trials=left, timeout=seconds, catch=(GratisError,))
    show(finished(study))


if __name__ == "__main__":
    try:
        main()
    except GratisError as error:
        sys.exit(f"error: {error}")
