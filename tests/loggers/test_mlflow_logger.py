"""Runs in MLflow, in a local database, read back with its own client."""

import json
import os
import subprocess
import sys

import pytest

from gratis.errors import Interrupted

# In a process of its own: mlflow changes warnings and logging of the one that imports it.
READ = """
import json, sys
from mlflow import MlflowClient

client = MlflowClient(sys.argv[1])
(experiment,) = (e for e in client.search_experiments() if e.name == "gratis")
(run,) = client.search_runs([experiment.experiment_id])
metrics = {
    name: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)]
    for name in run.data.metrics
}
artifacts = [f.path for f in client.list_artifacts(run.info.run_id)]
artifacts += [f.path for f in client.list_artifacts(run.info.run_id, "images")]
recipe = open(client.download_artifacts(run.info.run_id, "resolved-recipe.yaml")).read()
print(json.dumps({
    "name": run.info.run_name, "status": run.info.status, "parameters": run.data.params,
    "metrics": metrics, "artifacts": artifacts, "recipe": recipe,
}))
"""


def read(database):
    command = [sys.executable, "-W", "ignore", "-c", READ, f"sqlite:///{database}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_run_and_its_continuation_are_one(trained, interrupted, logged):
    interrupted(9)
    with pytest.raises(Interrupted):
        trained("mlflow")
    interrupted(10**6)
    folder = trained("mlflow")
    found = read(folder.parent / "mlflow.db")
    assert (found["name"], found["status"]) == ("tiny", "FINISHED")
    assert found["parameters"]["name"] == "free-scheduled"
    assert found["parameters"]["train.epochs"] == "3.0"
    assert found["recipe"] == (folder / "recipe.yaml").read_text()
    lines, metrics = logged(folder, "step"), found["metrics"]
    for name, key in {"train/loss": "loss", "schedule/epsilon": "epsilon"}.items():
        expected = [[line["step"], pytest.approx(line[key])] for line in lines]
        assert sorted(metrics[name]) == expected
    assert {"held_out/pgd", "evaluation/robust", "schedule/learning_rate"} <= metrics.keys()
    pictures = [path for path in found["artifacts"] if path.endswith(".png")]
    assert {"held_out", "evaluation"} == {path.split("/")[1].split("~")[0] for path in pictures}
    # The artifacts must not be taken for a run.
    assert not list(folder.parent.rglob("mlflow-artifacts/**/recipe.yaml"))


@pytest.mark.slow
def test_a_dead_server_changes_nothing(trained, logged, caplog, monkeypatch, dead_server):
    alone = trained(())
    expected = logged(alone, "step"), logged(alone, "epoch")
    alone.rename(alone.with_name("alone"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", dead_server())
    folder = trained("mlflow")
    assert (logged(folder, "step"), logged(folder, "epoch")) == expected
    assert (folder / "results.json").is_file()
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert f"send the rest with: gratis resume {folder} --log mlflow" in warned[-1]
