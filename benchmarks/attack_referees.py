"""Do other attack libraries agree with ours, and how long does each take?

    uv run --group referees python benchmarks/attack_referees.py RUN... --images 1000

Each RUN is the folder of a trained run. torchattacks, foolbox and the Adversarial Robustness
Toolbox (ART) attack the same images of the same model with the same epsilon, steps and step size.
Their tables come last:

- accuracy under each attack (the last step counts, as they have it), and how far apart they are;
- seconds of PGD-20, where every image survives (next to no epsilon) and where they fall as they
  do. All tools take their turn within a round; the figure is the median of the rounds with the
  least and the greatest. "given" is the model as it is loaded, in evaluation mode; "prepared" has
  frozen parameters and channels last; "until fooled" is what our evaluation runs, which also
  folds batch norms by itself;
- with ``--parts autoattack``, our verdict and pyautoattack's, on the model given and prepared.

The ideal gain of leaving fallen images alone is images x steps over the number of images that
were still attacked, added up over the steps. Our gain holds that of the folded batch norms too: the
lines where all survive show how much that is alone.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tables import spread, table
from torch import Tensor, nn

from gratis.data import Split, to_float
from gratis.evaluate.autoattack import PlainGradients
from gratis.evaluate.cascade import FOLDED, evenly_spaced
from gratis.evaluate.subject import Subject
from gratis.evaluate.suites import EvaluateSettings, trials_of
from gratis.model import folded, logits_of
from gratis.perturb import AttackSettings, attack, search
from gratis.run import load_run

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import torchattacks
    from art.attacks import evasion
    from art.estimators.classification import PyTorchClassifier
    from foolbox.attacks import L2PGD, LinfPGD
    from foolbox.models.pytorch import PyTorchModel

Attack = Callable[[nn.Module, Tensor, Tensor, AttackSettings], Tensor]
PARTS = ["agreement", "speed", "autoattack"]
SEED = 0
# Moves nobody across a border; zero is refused by ART.
TINY = 1e-6


@dataclass(frozen=True)
class Material:
    """A run's model, with logits alone, and the images that it is attacked on."""

    name: str
    model: nn.Module
    split: Split
    images: Tensor
    labels: Tensor
    epsilon: float


class Logits(nn.Module):
    """A model that returns logits alone."""

    def __init__(self, model: nn.Module) -> None:
        """Wrap ``model``."""
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of images in [0, 1]."""
        return logits_of(self.model(images))


def ours(model: nn.Module, images: Tensor, labels: Tensor, how: AttackSettings) -> Tensor:
    """Climb to the last step."""
    return attack(model, images, labels, how, SEED, torch.arange(len(labels)))


def ours_until_fooled(
    model: nn.Module, images: Tensor, labels: Tensor, how: AttackSettings
) -> Tensor:
    """Leave whoever has fallen alone."""
    return ours(model, images, labels, how.model_copy(update={"until_fooled": True}))


def by_torchattacks(
    model: nn.Module, images: Tensor, labels: Tensor, how: AttackSettings
) -> Tensor:
    """Attack by torchattacks."""
    step = {"alpha": how.resolved_step_size, "steps": how.steps}
    kind: Any = torchattacks
    if how.norm == "l2":
        made = kind.PGDL2(model, eps=how.epsilon, random_start=how.random_start, **step)
    elif how.steps == 1:
        made = kind.FGSM(model, eps=how.epsilon)
    elif how.random_start:
        made = kind.PGD(model, eps=how.epsilon, random_start=True, **step)
    else:
        made = kind.BIM(model, eps=how.epsilon, **step)
    found: Tensor = made(images, labels)
    return found


def by_foolbox(model: nn.Module, images: Tensor, labels: Tensor, how: AttackSettings) -> Tensor:
    """Attack by foolbox."""
    kind = LinfPGD if how.norm == "linf" else L2PGD
    made = kind(abs_stepsize=how.resolved_step_size, steps=how.steps, random_start=how.random_start)
    given = PyTorchModel(model, bounds=(0, 1), device=images.device)
    found: Tensor = made.run(given, images, labels, epsilon=how.epsilon)
    return found


def by_art(model: nn.Module, images: Tensor, labels: Tensor, how: AttackSettings) -> Tensor:
    """Attack by ART."""
    with torch.no_grad():
        classes = model(images[:1]).shape[1]
    given = PyTorchClassifier(
        model,
        loss=nn.CrossEntropyLoss(),
        input_shape=tuple(images.shape[1:]),
        nb_classes=classes,
        clip_values=(0, 1),
        device_type="gpu" if images.is_cuda else "cpu",
    )
    made = evasion.ProjectedGradientDescentPyTorch(
        given,
        norm=np.inf if how.norm == "linf" else 2,
        eps=how.epsilon,
        eps_step=how.resolved_step_size,
        max_iter=how.steps,
        num_random_init=int(how.random_start),
        batch_size=len(images),
        verbose=False,
    )
    found = made.generate(images.cpu().numpy(), labels.cpu().numpy())
    return torch.from_numpy(found).to(images)


TOOLS: dict[str, Attack] = {
    "ours": ours,
    "torchattacks": by_torchattacks,
    "foolbox": by_foolbox,
    "ART": by_art,
}


def attacks_of(epsilon: float, epsilon_l2: float) -> dict[str, AttackSettings]:
    """Return the attacks that all libraries have."""
    l2 = AttackSettings(epsilon=epsilon_l2, norm="l2", steps=20)
    return {
        "FGSM": AttackSettings.fgsm(epsilon),
        "BIM-10": AttackSettings.bim(epsilon),
        "PGD-20": AttackSettings.pgd(epsilon),
        "L2 PGD-20": l2,
    }


def material_of(run: Path, images: int) -> Material:
    """Return what a run's folder holds."""
    model, _, recipe, dataset = load_run(run)
    split = dataset.validation
    index = evenly_spaced(len(split), images)
    return Material(
        run.name,
        # As a whole: torchattacks leaves every part in the mode that the whole was in.
        Logits(model).to(memory_format=torch.contiguous_format).eval(),
        split,
        to_float(split.images[index], "cpu").contiguous(),
        torch.from_numpy(split.labels[index]),
        recipe.evaluate.epsilon,
    )


def prepare(it: Material) -> Material:
    """Return the same with frozen parameters and channels last; the model itself is changed."""
    model = it.model.requires_grad_(False).to(memory_format=torch.channels_last)
    images = it.images.contiguous(memory_format=torch.channels_last)
    return replace(it, model=model, images=images)


def folded_of(it: Material) -> Material:
    """Return the same with batch norms folded, as our evaluation does it by itself."""
    return replace(it, model=folded(it.model, it.images[:FOLDED]))


def given(it: Material) -> Material:
    """Return the same as it is loaded."""
    model = it.model.requires_grad_(True).to(memory_format=torch.contiguous_format)
    return replace(it, model=model, images=it.images.contiguous())


def accuracy(it: Material, adversarial: Tensor) -> float:
    """Return the percentage of images that the model gets right."""
    with torch.no_grad():
        return 100 * float((it.model(adversarial).argmax(1) == it.labels).float().mean())


def in_parts(tool: Attack, it: Material, how: AttackSettings, batch: int) -> Tensor:
    """Return what a tool makes of all images, a batch at a time."""
    parts = zip(it.images.split(batch), it.labels.split(batch), strict=True)
    return torch.cat([tool(it.model, images, labels, how) for images, labels in parts])


def agreement(it: Material, epsilon_l2: float, batch: int) -> list[str]:
    """Return a line of the table for each attack."""
    # Not prepared: torchattacks cannot reshape channels last in L2.
    lines, it = [], given(it)
    for name, how in attacks_of(it.epsilon, epsilon_l2).items():
        found = {t: accuracy(it, in_parts(f, it, how, batch)) for t, f in TOOLS.items()}
        apart = max(abs(value - found["ours"]) for value in found.values())
        stopped = accuracy(it, in_parts(ours_until_fooled, it, how, batch))
        cells = [*(f"{value:.2f}" for value in found.values()), f"{apart:.2f}", f"{stopped:.2f}"]
        lines.append(f"| {it.name} | {name} | {' | '.join(cells)} |")
    return lines


def rounds_of(
    it: Material, tools: dict[str, Attack], how: AttackSettings, rounds: int
) -> dict[str, list[float]]:
    """Return how long each tool takes, for every round; all take their turn within one."""
    taken: dict[str, list[float]] = {tool: [] for tool in tools}
    for number in range(rounds + 1):
        for tool in list(tools)[:: -1 if number % 2 else 1]:
            began = time.perf_counter()
            tools[tool](it.model, it.images, it.labels, how)
            if number:  # the first round only warms up
                taken[tool].append(time.perf_counter() - began)
    return taken


def speed(it: Material, batch: int, rounds: int) -> list[str]:
    """Return a line of the table for each way to run PGD-20."""
    lines = []
    few = replace(it, images=it.images[:batch], labels=it.labels[:batch])
    for how, what in (
        (AttackSettings.pgd(TINY), "all survive"),
        (AttackSettings.pgd(it.epsilon), ""),
    ):
        taken = {
            "given": rounds_of(given(few), TOOLS, how, rounds),
            "prepared": rounds_of(prepare(few), TOOLS, how, rounds),
        }
        ready = folded_of(prepare(few))
        if what:
            right = ready.model(ready.images).argmax(1)
            ready = replace(ready, labels=right)
        seconds = rounds_of(ready, {"ours": ours_until_fooled}, how, rounds)["ours"]
        ideal, survivors = ideal_gain(ready, how)
        what = what or f"{survivors} of {len(few.labels)} survive"
        for state, by_tool in taken.items():
            others = [by_tool[tool] for tool in list(TOOLS)[1:]]
            fastest = [min(turn) for turn in zip(*others, strict=True)]
            gains = [one / own for one, own in zip(fastest, seconds, strict=True)]
            cells = [*(spread(values) for values in by_tool.values()), spread(seconds)]
            gain = f"{spread(gains)} | {ideal:.2f} | {statistics.median(gains) / ideal:.2f}"
            lines.append(f"| {it.name} | {what} | {state} | {' | '.join(cells)} | {gain} |")
    return lines


def ideal_gain(it: Material, how: AttackSettings) -> tuple[float, int]:
    """Return by how much sparing the fallen could be faster at best, and how many survive."""
    seen: list[int] = []

    def classify(images: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            seen.append(len(images))
        logits: Tensor = it.model(images)
        return logits

    how = how.model_copy(update={"until_fooled": True})
    rows = torch.arange(len(it.labels))
    found = search(classify, it.images, it.labels, how, SEED, rows)
    return len(it.labels) * how.steps / sum(seen), int((~found.fooled).sum())


def autoattack(it: Material) -> list[str]:
    """Return how our verdict and pyautoattack's compare, in accuracy and in seconds."""
    from pyautoattack import AutoAttack

    tools: list[str] = []
    figures: list[float] = []
    seconds: list[float] = []
    for state, ready in (("given", given), ("prepared", prepare)):
        its = ready(it)
        plain = its.model if state == "given" else PlainGradients(its.model)
        began = time.perf_counter()
        official = AutoAttack(plain, eps=it.epsilon, seed=SEED)
        classes = its.model(its.images[:1]).shape[1]
        official.apgd_targeted.n_target_classes = official.fab.n_target_classes = min(
            9, classes - 1
        )
        found, _ = official.run_standard_evaluation(its.images.contiguous(), its.labels)
        seconds.append(time.perf_counter() - began)
        figures.append(accuracy(its, found))
        tools.append(f"pyautoattack, {state}")
    began = time.perf_counter()
    figures.append(100 * cascade(prepare(it)))
    seconds.append(time.perf_counter() - began)
    tools.append("ours, full cascade")
    return [
        f"| {it.name} | {tool} | {figure:.2f} | {took:.1f} | {took / seconds[-1]:.2f} |"
        for tool, figure, took in zip(tools, figures, seconds, strict=True)
    ]


def cascade(it: Material) -> float:
    """Return the robust accuracy by all L-infinity attacks of the full suite, AutoAttack last.

    Each meets only what stands, while ``measure`` holds FGSM, BIM and PGD on all images.
    """
    pixels = (it.images.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
    split = Split(np.ascontiguousarray(pixels), it.labels.numpy())
    subject = Subject(it.model, split, {}, SEED, climbed=folded_of(it).model)
    standing = subject.right(it.images, it.labels).numpy()
    for trial in trials_of(EvaluateSettings(suite="full", epsilon=it.epsilon)):
        if trial.threat == "robust" and standing.any() and trial.fits(subject):
            rows = np.flatnonzero(standing)
            standing[rows] = trial.judge(subject, rows).correct
    return float(standing.mean())


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description="Referees of the attacks.")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--images", type=int, default=1000, help="but for speed")
    parser.add_argument("--epsilon", type=Fraction, help="in L-infinity; the run's own if left out")
    parser.add_argument("--epsilon-l2", type=float, default=0.5)
    parser.add_argument("--batch", type=int, default=100, help="images at a time, and for speed")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS[:2], help="what to do")
    return parser.parse_args()


def main() -> None:
    """Measure and print the tables."""
    own = arguments()
    torch.set_num_threads(own.threads)
    warnings.simplefilter("ignore")
    its = [material_of(run, own.images) for run in own.runs]
    if own.epsilon is not None:
        its = [replace(it, epsilon=float(own.epsilon)) for it in its]
    print(f"{own.threads} thread(s), torch {torch.__version__}")
    if "agreement" in own.parts:
        lines = [line for it in its for line in agreement(it, own.epsilon_l2, own.batch)]
        epsilons = f"L2 epsilon {own.epsilon_l2:g}, step 2.5 epsilon / steps"
        print(f"\naccuracy in percent on {len(its[0].labels)} images, {epsilons}\n")
        table(["model", "attack", *TOOLS, "furthest from ours", "ours until fooled"], lines)
    if "speed" in own.parts:
        lines = [line for it in its for line in speed(it, own.batch, own.rounds)]
        print(f"\nseconds of PGD-20 on {own.batch} images\n")
        columns = ["model", "images", "model is", *TOOLS, "ours until fooled"]
        table([*columns, "gain over the fastest", "ideal", "share of the ideal"], lines)
    if "autoattack" in own.parts:
        lines = [line for it in its for line in autoattack(it)]
        print(f"\nAutoAttack on {len(its[0].labels)} images\n")
        table(["model", "tool", "accuracy in percent", "seconds", "times ours"], lines)


if __name__ == "__main__":
    main()
