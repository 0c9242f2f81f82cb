"""Compares our attacks with other libraries: accuracies found and seconds taken.

    uv run --group referees python -m benchmarks.attack_referees RUN... --images 1000 --json FILE

Each RUN is the folder of a trained run. torchattacks, foolbox and the Adversarial Robustness
Toolbox (ART) attack the same images of the same model with the same epsilon, steps and step size.
The tables:

- ``agreement``: the accuracy under each attack after its last step, and the largest difference;
- ``speed``: seconds of PGD-20, once with an epsilon so small that every image survives, once with
  the given epsilon. All tools run in turn, ours in one process and the others in another; a figure
  is the median of the rounds with the least and the greatest. "given" is the model as loaded, in
  evaluation mode; "prepared" has frozen parameters and channels last; "ours until fooled" is what
  our evaluation runs, on a faster equivalent of the model;
- ``autoattack``: our result and pyautoattack's, on the given and the prepared model, every run in
  a new process; ``--repeat`` sets the number of runs, each with another seed.

The ideal gain of not attacking fooled images again is images x steps, divided by the number of
images still attacked, summed over the steps. Our gain also contains that of the faster model,
which the lines where all images survive show alone.
"""

import argparse
import warnings
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path

import torch

from benchmarks.referees import agreement, autoattack, speed
from benchmarks.referees.workload import AttackSetup
from benchmarks.tables import table
from gratis.json_files import write_json
from gratis.run.machine import commit, device_name

PARTS = ["agreement", "speed", "autoattack"]


def arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description="Compare our attacks with other libraries.")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument(
        "--images", type=int, default=1000, help="images to attack, except for speed"
    )
    parser.add_argument("--epsilon", type=Fraction, help="L-infinity epsilon (default: the run's)")
    parser.add_argument("--epsilon-l2", type=float, default=0.5)
    parser.add_argument(
        "--batch", type=int, default=100, help="images in a batch, and images for speed"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--repeat", type=int, default=1, help="runs of AutoAttack, each with another seed"
    )
    states = list(autoattack.STATES)
    help_states = "states of the model for pyautoattack"
    parser.add_argument("--states", nargs="+", choices=states, default=states, help=help_states)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=PARTS[:2], help="tables to make"
    )
    parser.add_argument("--json", type=Path, help="also write what is printed to this file")
    return parser.parse_args()


def main() -> None:
    """Measure and print the tables."""
    args = arguments()
    warnings.simplefilter("ignore")
    epsilon = None if args.epsilon is None else float(args.epsilon)
    every = [AttackSetup(run, args.images, epsilon, args.threads) for run in args.runs]
    torch.set_num_threads(args.threads)
    about = f"{device_name(torch.device('cpu'))}, torch {torch.__version__}"
    print(about)
    found: dict[str, list[dict[str, str]]] = {}
    if "agreement" in args.parts:
        epsilons = f"L2 epsilon {args.epsilon_l2:g}, step 2.5 epsilon / steps"
        print(f"\naccuracy in percent on at most {args.images} images, {epsilons}")
        lines = (agreement.agreement(each, args.epsilon_l2, args.batch) for each in every)
        found["agreement"] = table(agreement.COLUMNS, chain.from_iterable(lines))
    if "speed" in args.parts:
        few = [replace(each, images=args.batch) for each in every]
        print(f"\nseconds of PGD-20 on {args.batch} images")
        lines = (speed.speed(each, args.rounds) for each in few)
        found["speed"] = table(speed.COLUMNS, chain.from_iterable(lines))
    if "autoattack" in args.parts:
        print(f"\nAutoAttack on at most {args.images} images")
        each_line = (autoattack.autoattack(each, args.repeat, args.states) for each in every)
        found["autoattack"] = table(autoattack.COLUMNS, chain.from_iterable(each_line))
    if args.json is not None:
        write_json(args.json, {"about": about, "commit": commit(), **found})


if __name__ == "__main__":
    main()
