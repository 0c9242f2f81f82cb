"""Runs in TensorBoard's own event files, read back with TensorBoard's own reader."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gratis.errors import Interrupted
from gratis.results import Results

# The reader keeps all events, not a sample.
ALL = {"scalars": 0, "images": 0, "tensors": 0}


def read(folder):
    found = EventAccumulator(str(folder / "tensorboard"), size_guidance=ALL)
    found.Reload()
    return found


def series(found, tag):
    return [(event.step, event.value) for event in found.Scalars(tag)]


def test_a_run_and_its_continuation_are_one(trained, interrupted, logged):
    interrupted(9)
    with pytest.raises(Interrupted):
        trained("tensorboard")
    interrupted(10**6)
    folder = trained(["tensorboard"])
    found = read(folder)

    lines = logged(folder, "step")
    steps = [line["step"] for line in lines]
    assert len(steps) > 8 and steps == sorted(set(steps))
    for tag, key in {
        "train/loss": "loss",
        "train/cross_entropy": "cross_entropy",
        "schedule/epsilon": "epsilon",
        "schedule/replays": "replays",
        "schedule/learning_rate": "learning_rate",
    }.items():
        expected = [(line["step"], pytest.approx(line[key])) for line in lines]
        assert series(found, tag) == expected, tag
    # Scheduled free training: the attack grows.
    epsilons = [value for _, value in series(found, "schedule/epsilon")]
    assert epsilons[0] < epsilons[-1]

    held_out = [line for line in logged(folder, "epoch") if "held_out" in line]
    for name in ("clean", "fgsm", "pgd"):
        expected = [(each["step"], pytest.approx(each["held_out"][name])) for each in held_out]
        assert series(found, f"held_out/{name}") == expected

    results = Results.read(folder / "results.json")
    for name in ("clean", "pgd", "robust"):
        assert series(found, f"evaluation/{name}") == [
            (steps[-1], pytest.approx(getattr(results, name)))
        ]

    for tag in ("held_out/images", "evaluation/images"):
        event = found.Images(tag)[-1]
        pixels = np.asarray(Image.open(BytesIO(event.encoded_image_string)))
        assert pixels.shape == (event.height, event.width, 3) and pixels.std() > 10
        clean, attacked = pixels[:96], pixels[104:200]
        assert clean.shape == attacked.shape and not np.array_equal(clean, attacked)

    (recipe,) = found.Tensors("recipe")
    text = recipe.tensor_proto.string_val[0].decode()
    assert "    name: free-scheduled\n" in text and "      held_out_per_class:" in text


def test_a_log_that_was_made_without_loggers_is_sent_later(trained, logged):
    folder = trained(())
    assert not (folder / "loggers").exists() and not (folder / "tensorboard").exists()
    before = (folder / "metrics.jsonl").read_bytes()
    trained("tensorboard")
    assert (folder / "metrics.jsonl").read_bytes() == before
    steps = [step for step, _ in series(read(folder), "train/loss")]
    assert steps == [line["step"] for line in logged(folder, "step")]


def test_training_is_the_same_with_a_logger(trained, logged, tmp_path):
    folder = trained("tensorboard")
    with_logger = logged(folder, "step"), logged(folder, "epoch")
    folder.rename(tmp_path / "other")
    folder = trained(())
    assert (logged(folder, "step"), logged(folder, "epoch")) == with_logger
