"""Finding and reading the runs of a report, and refusing damaged ones."""

import numpy as np
import pytest
from sampled import store_sample_images

from gratis.errors import GratisError
from gratis.report import choose, read_runs
from gratis.results.measurement import Measurement


def named(found):
    return [(run.results.recipe, run.results.seed) for run in found.runs]


def test_the_runs_of_a_folder_are_in_the_tables_order(run_folder, tmp_path):
    run_folder("late", resolved={"order": 10})
    run_folder("early", seed=1, resolved={"order": 2})
    run_folder("early", seed=0, resolved={"order": 2})
    found = read_runs([tmp_path / "out"])
    assert named(found) == [("early", 0), ("early", 1), ("late", 0)]
    assert [line.loss for line in found.runs[0].log] == [2]


def test_named_runs_stay_in_the_given_order_and_count_once(run_folder, tmp_path):
    b, a = run_folder("b"), run_folder("a")
    assert named(read_runs([b, a, b.parent / ".." / "runs" / "b-seed0"])) == [("b", 0), ("a", 0)]


def test_a_run_without_results_is_listed_in_a_folder_and_refused_by_name(run_folder, tmp_path):
    run_folder("done")
    unfinished = run_folder("unfinished")
    (unfinished / "results.json").unlink()
    found = read_runs([tmp_path / "out"])
    assert named(found) == [("done", 0)] and found.unmeasured == [unfinished]
    with pytest.raises(GratisError, match=rf"{unfinished}: has no results.*gratis resume"):
        read_runs([unfinished])
    (tmp_path / "out" / "runs" / "done-seed0" / "results.json").unlink()
    with pytest.raises(GratisError, match=r"out: holds no measured run.*gratis reproduce"):
        read_runs([tmp_path / "out"])


def test_other_folders_are_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(GratisError, match=rf"{folder}: is not the folder of a run"):
            read_runs([folder])


def damage_results(folder):
    (folder / "results.json").write_text("{")
    return "results.json.*not readable JSON"


def damage_schema(folder):
    (folder / "results.json").write_text("{}")
    return "results.json.*evaluate again"


def damage_log(folder):
    (folder / "metrics.jsonl").write_text('{"epoch": 1}\n{"epoch": 2, "lo')
    return "metrics.jsonl: line 2 is no line of a log"


def damage_value(folder):
    (folder / "metrics.jsonl").write_text('{"epoch": 1, "loss": NaN}\n')
    return "metrics.jsonl: line 1.*delete it"


def damage_text(folder):
    (folder / "metrics.jsonl").write_bytes(b"\xff\xfe")
    return "metrics.jsonl: line 1 is no line of a log"


def lose_measurement(folder):
    (folder / "correct.safetensors").unlink()
    return "correct.safetensors: does not exist; evaluate the run again"


def damage_measurement(folder):
    (folder / "correct.safetensors").write_bytes(b"nothing")
    return "correct.safetensors: is not a measurement"


def swap_measurement(folder):
    every = np.ones(200, dtype=bool)
    Measurement(np.arange(200), {"pgd": every}).save(folder / "correct.safetensors")
    return "correct.safetensors: does not belong to the results.*gratis evaluate"


def lack_worst_case(folder):
    measured = Measurement.load(folder / "correct.safetensors")
    worst = np.ones(200, dtype=bool)
    Measurement(measured.index, measured.correct | {"robust": worst}).save(
        folder / "correct.safetensors"
    )
    return "correct.safetensors: does not belong to the results"


def damage_sample_images(folder):
    store_sample_images(folder).write_bytes(b"nothing")
    return "sample_images.safetensors: holds no sample images.*delete it"


def swap_sample_images(folder):
    store_sample_images(folder, n=100)
    return "sample_images.safetensors: shows images that were not measured; evaluate again"


def damage_seconds(folder):
    (folder / "evaluation").mkdir()
    (folder / "evaluation" / "seconds.json").write_text('{"fgsm": "long"}')
    return "seconds.json: holds no seconds of tasks.*delete it"


@pytest.mark.parametrize(
    "damage",
    [
        lack_worst_case,
        damage_sample_images,
        swap_sample_images,
        damage_seconds,
        damage_results,
        damage_schema,
        damage_log,
        damage_value,
        damage_text,
        lose_measurement,
        damage_measurement,
        swap_measurement,
    ],
)
def test_a_damaged_file_is_named_with_a_remedy(run_folder, damage):
    folder = run_folder()
    problem = damage(folder)
    with pytest.raises(GratisError, match=problem):
        read_runs([folder])


def test_a_log_may_be_missing_or_have_more_fields(run_folder):
    folder = run_folder(log=[{"epoch": 1, "kind": "new", "held_out": {"clean": 0.5}, "x": [1]}])
    (run,) = read_runs([folder]).runs
    assert run.log[0].held_out == {"clean": 0.5}
    (folder / "metrics.jsonl").unlink()
    assert read_runs([folder]).runs[0].log == []


def test_runs_of_one_recipe_are_one_row_only_if_they_differ_only_in_the_seed(run_folder, tmp_path):
    strong = {"resolved": {"adversary": {"free": {"epsilon": 1}}}}
    folders = [
        run_folder(seed=seed, under=tmp_path / under, **changes)
        for under, changes in (("a", {}), ("b", strong))
        for seed in (0, 1)
    ]
    assert len({run.results.title for run in read_runs(folders[:2]).runs}) == 1
    results = [run.results for run in read_runs(folders).runs]
    assert results[0].recipe == results[1].recipe != results[2].recipe == results[3].recipe
    assert str(folders[2]) in results[2].title

    again = run_folder(seed=0, under=tmp_path / "c")
    assert len({run.results.title for run in read_runs([folders[0], again]).runs}) == 2


def test_images_are_those_of_the_most_robust_the_baseline_and_a_denoiser(run_folder, tmp_path):
    run_folder("baseline", baseline=True, resolved={"order": 1})
    run_folder("denoiser", resolved={"order": 2, "model": {"denoiser": {}}})
    run_folder("second-denoiser", resolved={"order": 3, "model": {"denoiser": {}}})
    for seed in (1, 2):
        run_folder("robust", seed, pgd=0.15, resolved={"order": 4})
    run_folder("reference", pgd=0.19, reference=True, resolved={"order": 5})
    runs = read_runs([tmp_path / "out"]).runs
    chosen = [(run.results.recipe, run.results.seed) for run in choose(runs, [])]
    assert chosen == [("baseline", 0), ("denoiser", 0), ("robust", 1)]
    with pytest.raises(GratisError, match="reference-seed0: no sample images of 'reference'"):
        choose(runs, ["reference"])
    store_sample_images(tmp_path / "out" / "runs" / "reference-seed0")
    runs = read_runs([tmp_path / "out"]).runs
    assert [run.results.recipe for run in choose(runs, ["reference"])] == ["reference"]
    with pytest.raises(GratisError, match="did you mean 'robust'"):
        choose(runs, ["robus"])
