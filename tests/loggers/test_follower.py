"""What a logger is told of a log that grows, is cut, rolls back, or was sent in part."""

import json
import threading

import numpy as np
import pytest

from gratis.loggers.__main__ import follow
from gratis.loggers.base import Logger
from gratis.loggers.follower import Follower
from gratis.results import HeldOutImages

RECIPE = "name: small\nobjective: {cross_entropy: {}}\n"


class Recorder(Logger):
    """Records what it is told; ``fail`` is the number of times that it fails first."""

    opened, told, pictures, fail = [], [], [], 0

    @classmethod
    def target(cls, folder):
        return "here"

    def __init__(self, run, target, resumed):
        self.run, self.where = resumed or f"run {len(self.opened)}", "here"
        self.opened.append(resumed)

    def scalars(self, entries):
        if type(self).fail:
            type(self).fail -= 1
            raise ConnectionError("no\nanswer")
        self.told += [(entry.step, entry.values.get("train/loss")) for entry in entries]

    def picture(self, name, pixels, step, caption):
        self.pictures.append((name, pixels.shape, step))

    def rolled_back(self, step):
        self.told.append(("back to", step))

    def close(self, complete):
        self.told.append(("closed", complete))


@pytest.fixture
def kind():
    return type("Fresh", (Recorder,), {"opened": [], "told": [], "pictures": [], "fail": 0})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "loggers").mkdir()
    return tmp_path


def write(folder, *lines):
    """Write a log of steps, each with its number as the loss, and of other lines."""
    full = [
        {"kind": "step", "step": line, "loss": float(line)} if isinstance(line, int) else line
        for line in lines
    ]
    text = "".join(json.dumps({"epoch": 0, "passes": 0, **line}) + "\n" for line in full)
    (folder / "metrics.jsonl").write_text(text)


def rollback(step, to_step):
    return {"kind": "rollback", "step": step, "to_step": to_step, "rate_factor": 0.5}


def send(folder, kind, target="here"):
    follower = Follower(folder, "recorder", kind, target)
    follower.send()
    return follower


def test_each_line_is_sent_once(folder, kind):
    write(folder, 1, 2)
    follower = send(folder, kind)
    write(folder, 1, 2, 3)
    follower.send()
    follower.send()
    assert kind.told == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert kind.opened == [None]


def test_nothing_is_opened_before_the_run_has_begun(tmp_path, kind):
    send(tmp_path, kind)
    assert kind.opened == [] and not list(tmp_path.iterdir())


def test_a_resumed_run_goes_on_in_the_same_run_of_the_logger(folder, kind):
    write(folder, 1, 2, 3)
    send(folder, kind)
    # Killed after its checkpoint at step 1: training makes the steps 2 and 3 again.
    write(folder, 1, 2, 3, 4)
    send(folder, kind)
    assert kind.told == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]
    assert kind.opened == [None, "run 0"]


def test_another_target_is_told_everything(folder, kind):
    write(folder, 1, 2)
    send(folder, kind)
    send(folder, kind, "another server")
    assert kind.told == [(1, 1.0), (2, 2.0)] * 2
    assert kind.opened == [None, None]


def test_a_rollback_is_sent_once_and_its_steps_come_again(folder, kind):
    write(folder, 1, 2, 3)
    follower = send(folder, kind)
    # The log was cut to step 1; what follows the event is longer than what was cut.
    write(folder, 1, rollback(3, 1), 2, 3, 4)
    follower.send()
    again = [("back to", 1), (3, None), (2, 2.0), (3, 3.0), (4, 4.0)]
    assert kind.told == [(1, 1.0), (2, 2.0), (3, 3.0), *again]
    # Another process reads all of it again, and a second rollback.
    write(folder, 1, rollback(3, 1), 2, rollback(4, 2), 3)
    send(folder, kind)
    assert kind.told[len(again) + 3 :] == [("back to", 2), (4, None), (3, 3.0)]


def test_held_out_images_are_sent_once_for_each_step(folder, kind):
    write(folder, 1)
    images = np.zeros((5, 8, 8, 3), np.uint8)
    HeldOutImages(1, images, images).save(folder / "loggers" / "held_out_images.safetensors")
    follower = send(folder, kind)
    follower.send()
    HeldOutImages(2, images, images).save(folder / "loggers" / "held_out_images.safetensors")
    follower.send()
    # Two rows of five images of 8 pixels, each enlarged twelve times, 8 pixels apart.
    shape = (2 * 96 + 8, 5 * 96 + 4 * 8, 3)
    assert kind.pictures == [("held_out/images", shape, 1), ("held_out/images", shape, 2)]


def test_the_natural_training_of_a_hardened_run_has_names_of_its_own(folder, kind):
    (folder / "natural").mkdir()
    write(folder / "natural", 1)
    write(folder, 1)
    told = []
    kind.scalars = lambda self, entries: told.extend(set(entry.values) for entry in entries)
    send(folder, kind)
    assert [{name for name in names if "loss" in name} for names in told] == [
        {"train/loss"},
        {"natural/train/loss"},
    ]


def test_a_damaged_state_starts_anew(folder, kind):
    write(folder, 1)
    send(folder, kind)
    (folder / "loggers" / "recorder.json").write_text("{")
    send(folder, kind)
    assert kind.told == [(1, 1.0), (1, 1.0)]


def test_a_logger_that_fails_is_opened_again_and_told_what_it_missed(folder, kind, capsys):
    kind.fail = 2
    write(folder, 1, 2)
    ended, pauses = threading.Event(), []

    def wait(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            write(folder, 1, 2, 3)
            ended.set()

    follow("recorder", folder, kind, ended, wait)
    assert kind.told == [(1, 1.0), (2, 2.0), (3, 3.0), ("closed", False)]
    assert kind.opened == [None, "run 0", "run 0"]
    # Later after each failure, and as before when it answers again.
    assert pauses[0] < pauses[1] and pauses[2] < pauses[0]
    told = capsys.readouterr().out.splitlines()
    failed = [line for line in told if line.startswith("failed")]
    assert len(failed) == 1 and "ConnectionError: no answer; training goes on" in failed[0]


def test_the_last_failure_says_how_to_send_the_rest(folder, kind, capsys):
    kind.fail = 9
    write(folder, 1)
    ended = threading.Event()
    ended.set()
    follow("recorder", folder, kind, ended, lambda seconds: pytest.fail("waits at the end"))
    assert f"send the rest with: gratis resume {folder} --log recorder" in capsys.readouterr().out
