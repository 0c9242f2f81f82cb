import json

from gratis.loggers.lines import entry_of
from gratis.loggers.log_tail import LogTail

STEP = {
    **{"kind": "step", "step": 7, "epoch": 0.5, "passes": 70, "epsilon": 0.1, "replays": 4},
    **{"learning_rate": 0.01, "cross_entropy": 1.5, "contrastive": 0.25, "loss": 1.75},
    **{"accuracy": 0.5, "images_per_second": 100.0},
}
EPOCH = {
    **{"kind": "epoch", "step": 9, "epoch": 1.0, "passes": 90, "loss": 1.0},
    "held_out": {"clean": 0.5, "fgsm": 0.25, "pgd": 0.125},
}


def line_of(step, kind="step"):
    return {"kind": kind, "step": step, "epoch": 0.1, "passes": 1, "loss": 1.0}


def write(path, *steps, mode="w"):
    with path.open(mode) as stream:
        stream.writelines(json.dumps(line_of(step)) + "\n" for step in steps)


def steps_of(new):
    return [line["step"] for line in new.lines]


def test_names_say_what_a_value_is():
    step, values = entry_of(STEP, ["cross_entropy", "contrastive"])
    assert step == 7
    assert values == {
        "train/cross_entropy": 1.5,
        "train/contrastive": 0.25,
        "train/loss": 1.75,
        "train/accuracy": 0.5,
        "schedule/epsilon": 0.1,
        "schedule/replays": 4.0,
        "schedule/learning_rate": 0.01,
        "speed/images_per_second": 100.0,
        "progress/epoch": 0.5,
        "progress/passes": 70.0,
    }
    assert entry_of(EPOCH, [], "natural/").values == {
        "natural/epoch/loss": 1.0,
        "natural/held_out/clean": 0.5,
        "natural/held_out/fgsm": 0.25,
        "natural/held_out/pgd": 0.125,
    }


def test_a_growing_log_is_read_line_by_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    tail = LogTail(path)
    assert tail.read() == ([], False)
    write(path, 1, 2)
    first = tail.read()
    assert steps_of(first) == [1, 2] and first.restarted
    write(path, 3, mode="a")
    with path.open("a") as stream:
        stream.write(json.dumps(line_of(4))[:20])
    second = tail.read()
    assert steps_of(second) == [3] and not second.restarted
    with path.open("a") as stream:
        stream.write(json.dumps(line_of(4))[20:] + "\n")
    assert steps_of(tail.read()) == [4]
    assert tail.read() == ([], False)


def test_a_log_that_was_cut_is_read_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    tail = LogTail(path)
    write(path, 1, 2, 3)
    tail.read()
    # Cut to one line, and longer than before when it is read again.
    write(path, 1, 20, 30, 40, 50)
    new = tail.read()
    assert steps_of(new) == [1, 20, 30, 40, 50] and new.restarted
    write(path, 1)
    new = tail.read()
    assert steps_of(new) == [1] and new.restarted
