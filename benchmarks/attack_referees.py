"""Do other attack libraries agree with ours, and how long does each take?

    uv run --group referees python -m benchmarks.attack_referees RUN... --images 1000

Each RUN is the folder of a trained run. torchattacks, foolbox and the Adversarial Robustness
Toolbox (ART) attack the same images of the same model with the same epsilon, steps and step size.
Their tables come last:

- accuracy under each attack (the last step counts, as they have it), and how far apart they are;
- seconds of PGD-20, where every image survives (next to no epsilon) and where they fall as they
  do. All tools take their turn within a round, ours in one process and the others in another;
  the figure is the median of the rounds with the least and the greatest. "given" is the model
  as it is loaded, in evaluation mode; "prepared" has frozen parameters and channels last; "until
  fooled" is what our evaluation runs, which also changes the model into one that costs less;
- with ``--parts autoattack``, our verdict and pyautoattack's, on the model given and prepared,
  every run in a fresh process; with ``--repeat`` so often, each time with another seed.

The ideal gain of leaving fallen images alone is images x steps over the number of images that
were still attacked, added up over the steps. Our gain holds that of the cheaper model too: the
lines where all survive show how much that is alone.
"""

import argparse
import warnings
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import torch

from benchmarks.referees import agreement, autoattack, speed
from benchmarks.referees.material import Asked
from benchmarks.tables import table

PARTS = ["agreement", "speed", "autoattack"]


def arguments() -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description="Referees of the attacks.")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--images", type=int, default=1000, help="but for speed")
    parser.add_argument("--epsilon", type=Fraction, help="in L-infinity; the run's own if left out")
    parser.add_argument("--epsilon-l2", type=float, default=0.5)
    parser.add_argument("--batch", type=int, default=100, help="images at a time, and for speed")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeat", type=int, default=1, help="runs of AutoAttack, all seeds new")
    states = list(autoattack.STATES)
    help_states = "the model for pyautoattack"
    parser.add_argument("--states", nargs="+", choices=states, default=states, help=help_states)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS[:2], help="what to do")
    return parser.parse_args()


def main() -> None:
    """Measure and print the tables."""
    own = arguments()
    warnings.simplefilter("ignore")
    epsilon = None if own.epsilon is None else float(own.epsilon)
    every = [Asked(run, own.images, epsilon, own.threads) for run in own.runs]
    print(f"{own.threads} thread(s), torch {torch.__version__}")
    if "agreement" in own.parts:
        epsilons = f"L2 epsilon {own.epsilon_l2:g}, step 2.5 epsilon / steps"
        print(f"\naccuracy in percent on at most {own.images} images, {epsilons}")
        lines = (agreement.agreement(each, own.epsilon_l2, own.batch) for each in every)
        table(agreement.COLUMNS, (line for some in lines for line in some))
    if "speed" in own.parts:
        few = [replace(each, images=own.batch) for each in every]
        print(f"\nseconds of PGD-20 on {own.batch} images")
        lines = (speed.speed(each, own.rounds) for each in few)
        table(speed.COLUMNS, (line for some in lines for line in some))
    if "autoattack" in own.parts:
        print(f"\nAutoAttack on at most {own.images} images")
        every_line = (autoattack.autoattack(each, own.repeat, own.states) for each in every)
        table(autoattack.COLUMNS, (line for some in every_line for line in some))


if __name__ == "__main__":
    main()
