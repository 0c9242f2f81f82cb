import itertools

import pytest
import torch

from gratis.training import trainer as trainer_module
from gratis.training.fit import fit


@pytest.mark.parametrize("decay", [0.3, 0.999])  # the second is never reached
def test_the_evaluated_weights_are_the_running_average(decay, trainer_of, monkeypatch, tmp_path):
    trainer = trainer_of("free", ema_decay=decay, epochs=3)
    real, expected, updates = trainer_module.train_step, {}, itertools.count()

    def step(train_state, *arguments):
        report = real(train_state, *arguments)
        n = next(updates)
        kept = min(decay, (1 + n) / (10 + n)) if n else 0.0
        for name, value in train_state.module.state_dict().items():
            now = value.detach().clone().double()
            expected[name] = kept * expected.get(name, 0) + (1 - kept) * now
        return report

    monkeypatch.setattr(trainer_module, "train_step", step)
    fit(trainer, tmp_path, {"run": "x"})
    evaluated = trainer.train_state.evaluated.module.state_dict()
    assert evaluated.keys() == expected.keys()
    assert next(updates) > 15
    for name, value in evaluated.items():
        if value.is_floating_point():  # batch norm's statistics are averaged too
            torch.testing.assert_close(value.double(), expected[name], rtol=1e-4, atol=1e-6)
    plain = trainer.train_state.module.state_dict()
    assert not torch.allclose(plain["head.classes.weight"], evaluated["head.classes.weight"])


def test_without_an_average_the_module_itself_is_evaluated(trainer_of):
    train_state = trainer_of().train_state
    assert train_state.evaluated is train_state.module


def test_batches_are_counted_and_not_averaged(trainer_of, tmp_path):
    trainer = trainer_of("free", ema_decay=0.9, epochs=1)
    fit(trainer, tmp_path, {"run": "x"})
    counted = [
        (value, trainer.train_state.evaluated.module.state_dict()[name])
        for name, value in trainer.train_state.module.state_dict().items()
        if not value.is_floating_point()
    ]
    assert counted
    assert all(torch.equal(now, averaged) for now, averaged in counted)
