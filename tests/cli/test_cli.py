"""The command line as a user meets it: true processes on real images, and every bad input."""

import json
import os
import signal
import subprocess
import sys
import time

# The smallest training that still goes through every part.
SHORT = ["train.epochs=1", "train.batch_size=32", "evaluate.pgd_steps=2", "evaluate.images=40"]
NARROW = ["model.channels=[8,8,8,8]", "model.head.width=16"]


def gratis(*arguments, **options):
    command = [sys.executable, "-m", "gratis.cli", *map(str, arguments)]
    # One thread: several processes with small networks must not wait for each other.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    options = {"capture_output": True, "text": True, "env": environment} | options
    return subprocess.run(command, check=False, timeout=300, **options)


def test_help_needs_no_torch():
    code = (
        "import sys; sys.argv = ['gratis', '--help']\n"
        "from gratis import cli\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'timm', 'lightning_fabric', 'matplotlib'} & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "reproduce" in done.stdout


def test_recipes_can_be_listed_shown_and_copied(tmp_path, works, refused):
    assert "contrastive-scheduled" in works("recipes", "ls")
    shown = works("recipes", "show", "free", "--profile", "digits")
    assert "replays: 4" in shown and "denoiser: null" in shown
    (tmp_path / "shown.yaml").write_text(shown)
    assert works("recipes", "show", tmp_path / "shown.yaml") == shown
    assert str(tmp_path) in works("recipes", "copy", "free", tmp_path / "mine.yaml")
    assert "replays: 3" in works(
        "recipes", "show", tmp_path / "mine.yaml", "adversary.free.replays=3"
    )
    assert "exists already" in refused("recipes", "copy", "free", tmp_path / "mine.yaml")


def test_reproduce_interrupt_and_rerun_on_digits(tmp_path, works):
    command = [
        *("reproduce", "--out", tmp_path, "--only", "free", "augmented", "--seeds", "2"),
        *SHORT,
        *NARROW,
    ]
    done = gratis(*command)
    assert done.returncode == 0, done.stderr
    assert "+ augmentation" in done.stdout
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [(row["recipe"], row["seed"]) for row in rows] == [
        ("augmented", 0),
        ("free", 0),
        ("augmented", 1),
        ("free", 1),
    ]
    for row in rows:
        for metric in ("clean", "geometric", "fgsm_transfer", "pgd"):
            correct = 40 * row[metric]
            assert abs(correct - round(correct)) < 1e-6  # whole images
        assert row["n"] == 40 and row["classes"] == 10 and row["versions"]["torch"]
    passes = {row["passes"] for row in rows}
    assert max(passes) / min(passes) < 1.05  # one epoch is coarse: half a batch is 2%
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/checkpoint*")}
    assert (tmp_path / "figure1.png").read_bytes().startswith(b"\x89PNG")
    assert "| free | + augmentation | 2 |" in (tmp_path / "paired.md").read_text()
    (tmp_path / "table.md").unlink()

    works(*command)
    assert (tmp_path / "table.md").exists()
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_a_terminated_run_resumes_to_the_same_numbers(tmp_path, works):
    long = [*NARROW, "train.epochs=6", "evaluate.pgd_steps=2", "evaluate.images=40"]
    works("train", "free", "--out", tmp_path / "a", *long)
    command = [sys.executable, "-m", "gratis.cli", "train", "free", "--out", str(tmp_path / "b")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, *long], env=environment, stderr=subprocess.PIPE, text=True
    )
    metrics = tmp_path / "b" / "metrics.jsonl"
    deadline = time.monotonic() + 240
    while not (metrics.exists() and metrics.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    (_, complaint) = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"gratis resume {tmp_path / 'b'}" in complaint.replace("\n", "")
    assert "saved" in complaint and "Traceback" not in complaint
    assert not (tmp_path / "b" / "results.json").exists()

    works("resume", tmp_path / "b")
    a, b = (json.loads((tmp_path / run / "results.json").read_text()) for run in "ab")
    assert a | {"seconds": 0} == b | {"seconds": 0}
    weights = [(tmp_path / run / "checkpoint.safetensors").read_bytes() for run in "ab"]
    assert weights[0][-10_000:] == weights[1][-10_000:]


def test_real_images_through_training_sets_and_evaluation(tiny_imagenet, tmp_path, works, refused):
    options = ["--profile", "tiny-imagenet-small", "--data-root", tiny_imagenet]
    small = [*SHORT, *NARROW, "data.classes=3", "train.held_out_per_class=2"]
    works("train", "resnet18", *options, "--out", tmp_path / "base", *small)
    works("perturb", tmp_path / "base", "--out", tmp_path / "sets")
    works("evaluate", tmp_path / "base", "--sets", tmp_path / "sets")
    results = json.loads((tmp_path / "base" / "results.json").read_text())
    assert results["transfer"] is not None and results["classes"] == 3

    # A changed set is refused, and says so in one line.
    images = tmp_path / "sets" / "transfer.npy"
    content = bytearray(images.read_bytes())
    content[-1] ^= 1
    images.write_bytes(content)
    complaint = refused("evaluate", tmp_path / "base", "--sets", tmp_path / "sets")
    assert "transfer.npy" in complaint


def test_wrong_recipes_and_keys(refused, tmp_path):
    assert "did you mean 'free'" in refused("train", "fre")
    assert "did you mean 'digits'" in refused("train", "free", "--profile", "digit")
    complaint = refused("train", "free", "adversary.free.epsilon=-1", "train.epoch=3", "a=1")
    for part in ("3 problems", "adversary.free.epsilon", "did you mean 'epochs'", "a: unknown key"):
        assert part in complaint
    assert "no recipe 'fre'" in refused("reproduce", "--only", "fre", "--out", tmp_path / "none")
    assert "key=value" in refused("train", "free", "epochs")
    assert not (tmp_path / "none").exists()


def test_wrong_data(refused, tmp_path):
    missing = tmp_path / "missing"
    complaint = refused("train", "free", "--data", "tiny-imagenet", "--data-root", missing)
    assert str(missing) in complaint
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    root = ["--data-root", tmp_path / "empty", "--out", out]
    assert "empty" in refused("reproduce", "--profile", "tiny-imagenet-small", *root)
    assert not (out / "runs").exists()
    assert "did you mean 'digits'" in refused("data", "digit")


def test_wrong_folders(refused, tmp_path):
    assert "name a folder that 'gratis train' printed" in refused("resume", tmp_path)
    assert "not a run folder" in refused("evaluate", tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    complaint = refused("train", "free", "--out", tmp_path / "file" / "run")
    assert str(tmp_path / "file" / "run") in complaint
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.yaml").write_text("title: [")
    assert "recipe.yaml" in refused("resume", run)
