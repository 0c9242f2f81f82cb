"""The compiled network trains like the plain one, and the compiler may be missing."""

import pytest
import torch
from safetensors.torch import load_file

from gratis.training import compilation
from gratis.training.fit import fit
from gratis.training.micro_batching import MicroBatching

RUN = {"run": "x"}


@pytest.fixture
def graphs(monkeypatch):
    """Compile without generating code; return the list of compiled graphs."""
    compiled = []

    def backend(graph, inputs):
        compiled.append(graph)
        return graph.forward

    torch._dynamo.reset()
    monkeypatch.setattr(compilation, "BACKEND", backend)
    yield compiled
    torch._dynamo.reset()


def weights(folder):
    tensors = load_file(folder / "checkpoint.safetensors")
    return {name: tensor for name, tensor in tensors.items() if not name.startswith("metrics.")}


# The number of graphs: with and without a gradient of the images, or with frozen statistics.
@pytest.mark.parametrize(
    ("adversary", "objective", "times"),
    [
        ({"free": {"replays": {"steps": {0: 1, 0.5: 3}}}}, "cross_entropy", 1),
        ({"free": {"gamma": 0.5}}, {"cross_entropy": {}, "contrastive": {}}, 2),
        (
            {"pgd": {"steps": 2, "epsilon": {"linear": {"start": 0, "stop": 0.1}}}},
            "cross_entropy",
            2,
        ),
    ],
    ids=["free", "two views", "pgd"],
)
def test_it_trains_like_the_plain_network(
    adversary, objective, times, graphs, trainer_of, tmp_path, caplog
):
    """Batches of two to six images are compiled once; torch itself splits at 16 rows."""
    sizes = {"epochs": 3, "batch_size": 6, "ema_decay": 0.9}
    for name, compile_it in (("plain", False), ("compiled", True)):
        (tmp_path / name).mkdir()
        trainer = trainer_of(adversary, objective, compile=compile_it, **sizes)
        half = trainer.planned / 2
        stopping = lambda trainer=trainer, half=half: trainer.position.passes > half  # noqa: E731
        fit(trainer, tmp_path / name, RUN, stopping)
        trainer.position.events.append(MicroBatching(0, 0, 0, 2))
        assert fit(trainer, tmp_path / name, RUN)
    plain, compiled = weights(tmp_path / "plain"), weights(tmp_path / "compiled")
    assert plain.keys() == compiled.keys()
    for name, tensor in plain.items():
        torch.testing.assert_close(compiled[name], tensor, msg=name)
    assert len(graphs) == times
    assert "train.compile" not in caplog.text


def test_evaluation_is_not_compiled(graphs, trainer_of):
    trainer = trainer_of(compile=True)
    module = trainer.train_state.module.eval()
    module(torch.rand(2, 3, 8, 8))
    assert not graphs
    module.train()(torch.rand(2, 3, 8, 8))
    assert graphs


@pytest.mark.parametrize("missing", [False, True], ids=["fails", "missing"])
def test_without_a_compiler_training_continues_after_one_warning(
    missing, trainer_of, monkeypatch, tmp_path, caplog
):
    def backend(graph, inputs):
        raise ValueError("no such compiler\nand where it was looked for")

    def absent(*_, **__):
        raise RuntimeError("not supported here")

    monkeypatch.setattr(compilation, "BACKEND", backend)
    if missing:
        monkeypatch.setattr(torch, "compile", absent)
    torch._dynamo.reset()
    ends = []
    for name, compile_it in (("plain", False), ("compiled", True)):
        (tmp_path / name).mkdir()
        fit(trainer_of("free", epochs=1, compile=compile_it), tmp_path / name, RUN)
        ends.append(weights(tmp_path / name))
    assert all(torch.equal(tensor, ends[1][name]) for name, tensor in ends[0].items())
    assert caplog.text.count("training uncompiled") == 1


def test_out_of_memory_is_not_a_failure_of_the_compiler(graphs, trainer_of, tmp_path):
    trainer = trainer_of("free", epochs=1, compile=True)
    plain = trainer.train_state.module.forward

    def small(images):
        if len(images) > 5:
            raise torch.OutOfMemoryError("simulated")
        return plain(images)

    trainer.train_state.module.forward = small
    assert fit(trainer, tmp_path, RUN)
    assert len(trainer.position.events) == 1
    assert graphs
