"""Search for the numbers of a recipe, judged on held-out training images alone.

    uv run --group search python scripts/search.py record/free-scheduled --data-root DIR --out OUT \
        --profile record-small --trials 30 train.epochs=10

Every trial trains the recipe once with numbers that optuna draws, and is judged by the PGD accuracy
of its averaged weights on images that left the training set for that (``train.held_out`` of each
class); the validation images are never looked at. The study lies in OUT/study.log: after an
interrupt the same command goes on. The trials, best first, and the best as overrides come last.
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
# Of 20 classes these are 500 images.
HELD_OUT = 25


def of_all(trial: optuna.Trial) -> list[str]:
    """Draw what every recipe has: rate, smoothing and weight decay."""
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
    """Draw how m, epsilon and the step grow, or that they do not."""
    last = trial.suggest_int("replays", 1, 6)
    reached = trial.suggest_float("reached", 0.0, 0.9)
    strongest = trial.suggest_float("epsilon", 6, 12)
    step = trial.suggest_float("step", 0.3, 1.25)
    replays: object = last
    epsilon = f"{strongest / 255:.4g}"
    if reached > 0.05:
        # One more replay at a time, the last one when epsilon has been reached.
        replays = {round(reached * k / last, 2) if k else 0: k + 1 for k in range(last)}
        replays = json.dumps({"steps": replays}).replace('"', "")
        epsilon = f"{{linear: {{start: 0, stop: {epsilon}, end: {reached:.2g}}}}}"
    own = f"adversary.{word}"
    return [
        f"{own}.replays={replays}",
        f"{own}.epsilon={epsilon}",
        f"{own}.step_size={step * strongest / 255:.4g}",
    ]


def of_cached(trial: optuna.Trial) -> list[str]:
    """Draw the same for what remembers delta by image."""
    return of_free(trial, "cached")


def of_fgsm(trial: optuna.Trial) -> list[str]:
    """Draw the budget, the noise and the step."""
    strongest = trial.suggest_float("epsilon", 6, 12)
    step = trial.suggest_float("step", 0.5, 1.5)
    noise = trial.suggest_float("noise", 0.5, 2.5)
    return [
        f"adversary.fgsm.epsilon={strongest / 255:.4g}",
        f"adversary.fgsm.step_size={step * strongest / 255:.4g}",
        f"adversary.fgsm.noise={noise:.2g}",
    ]


SPACES: dict[str, Draw] = {"free": of_free, "cached": of_cached, "fgsm": of_fgsm}


def overrides_of(trial: optuna.Trial, word: str) -> list[str]:
    """Return a trial's numbers as overrides of the recipe."""
    return [*of_all(trial), *SPACES[word](trial)]


def judged(recipe: Recipe, folder: Path) -> dict[str, float]:
    """Train a recipe; return its accuracies on the held-out images."""
    train_only(recipe, folder)
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    looks = [found for line in lines if (found := json.loads(line).get("held_out"))]
    last: dict[str, float] = looks[-1]
    return last


def objective(own: argparse.Namespace, word: str) -> Callable[[optuna.Trial], float]:
    """Return what optuna makes as great as it can: the held-out PGD accuracy."""

    def trained(trial: optuna.Trial) -> float:
        drawn = overrides_of(trial, word)
        trial.set_user_attr("overrides", drawn)
        recipe = recipe_of(own, drawn)
        try:
            seen = judged(recipe, own.out / f"trial-{trial.number}")
        except Interrupted as stopped:
            # Which optuna would take for a trial that went wrong, and go on with the next.
            raise KeyboardInterrupt from stopped
        trial.set_user_attr("clean", seen["clean"])
        return seen["pgd"]

    return trained


def recipe_of(own: argparse.Namespace, drawn: list[str]) -> Recipe:
    """Return the recipe with a trial's numbers; what the user says comes last."""
    # At the end of training only.
    quiet = [f"train.held_out={HELD_OUT}", "train.watch_every=1000000"]
    root = f"data.root={json.dumps(str(own.data_root.absolute()))}"
    return resolve(own.recipe, own.profile, [*drawn, *quiet, root, *own.overrides])


def finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return the trials that came to their end, best first."""
    done = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    return sorted(done, key=lambda trial: trial.value or 0.0, reverse=True)


def show(done: list[optuna.trial.FrozenTrial]) -> None:
    """Print finished trials."""
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
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description="Search for the numbers of a recipe.")
    parser.add_argument("recipe", help="with an adversary among: " + ", ".join(SPACES))
    parser.add_argument("--profile", default="record-small", help="sizes (default record-small)")
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="of the study and its runs")
    parser.add_argument("--trials", type=int, default=30, help="that finish, in all")
    parser.add_argument("--minutes", type=float, help="begin no trial after so long")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of every trial")
    return parser.parse_intermixed_args()


def main() -> None:
    """Search, and print what was found."""
    own = arguments()
    own.out.mkdir(parents=True, exist_ok=True)
    recipe = recipe_of(own, [])
    (word,) = recipe.adversary.chosen()
    if word not in SPACES:
        raise SystemExit(f"{own.recipe}: nothing to search for in {word!r}")
    if recipe.train.held_out == 0:
        raise SystemExit("train.held_out: trials are judged on held-out images; hold some out")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        # Other conditions are another study.
        study_name=" ".join([own.recipe, own.profile, *own.overrides]),
        storage=JournalStorage(JournalFileBackend(str(own.out / "study.log"))),
        direction="maximize",
        load_if_exists=True,
    )
    # Another seed for every time it goes on: with the same one it would begin with the same draws.
    seed = SEED + len(study.trials)
    study.sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True)
    left = max(0, own.trials - len(finished(study)))
    seconds = None if own.minutes is None else 60 * own.minutes
    with suppress(KeyboardInterrupt):
        study.optimize(objective(own, word), n_trials=left, timeout=seconds, catch=(GratisError,))
    show(finished(study))


if __name__ == "__main__":
    try:
        main()
    except GratisError as error:
        sys.exit(f"error: {error}")
