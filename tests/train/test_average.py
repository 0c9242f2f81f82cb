import torch

from gratis.train import loop

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
