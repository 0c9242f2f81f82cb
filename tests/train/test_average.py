import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gratis.train import loop
from gratis.train.average import Average

DECAY = 0.8


def test_the_evaluated_weights_are_the_running_average(trainer_of, monkeypatch, tmp_path):
    trainer = trainer_of("free", average=DECAY, epochs=3)
    real, expected = loop.train_step, {}

    def step(learner, *arguments):
        report = real(learner, *arguments)
        for name, value in learner.module.state_dict().items():
            now = value.detach().clone().double()
            expected[name] = DECAY * expected[name] + (1 - DECAY) * now if name in expected else now
        return report

    monkeypatch.setattr(loop, "train_step", step)
    trainer.run(tmp_path, {"run": "x"})
    evaluated = trainer.learner.evaluated.module.state_dict()
    assert evaluated.keys() == expected.keys()
    for name, value in evaluated.items():
        if value.is_floating_point():  # batch norm's statistics are averaged too
            torch.testing.assert_close(value.double(), expected[name], rtol=1e-4, atol=1e-6)
    plain = trainer.learner.module.state_dict()
    assert not torch.allclose(plain["head.classes.weight"], evaluated["head.classes.weight"])


def test_without_an_average_the_module_itself_is_evaluated(trainer_of):
    learner = trainer_of().learner
    assert learner.evaluated is learner.module


def test_it_is_torchs_average_bit_for_bit_but_for_counts():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    own = Average(model, DECAY)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(DECAY), use_buffers=True)
    for _ in range(5):
        model(torch.rand(2, 3, 5, 5))
        with torch.no_grad():
            model[0].weight.add_(torch.rand_like(model[0].weight))
        own.update_parameters(model)
        theirs.update_parameters(model)
    found, expected = own.state_dict(), theirs.state_dict()
    assert found.keys() == expected.keys()
    counts = "module.1.num_batches_tracked"
    assert all(torch.equal(found[k], expected[k]) for k in found.keys() - {counts})
    assert found[counts] == 5
