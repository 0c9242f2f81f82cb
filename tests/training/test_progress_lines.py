"""Training logs a line for every epoch."""

from gratis.training.fit import fit


def test_an_epoch_is_a_line(trainer_of, fake_monitor, tmp_path, caplog):
    caplog.set_level("INFO", "gratis.progress")
    monitor = fake_monitor({"clean": 0.9, "fgsm": 0.5, "pgd": 0.4})
    adversary = {"free": {"epsilon": 0.02, "replays": 2}}
    assert fit(trainer_of(adversary, epochs=3), tmp_path, {"run": "x"}, monitor=monitor)
    lines = [line for line in caplog.messages if line.startswith("training: epoch")]
    assert len(lines) == 3
    for line in lines:
        for text in (" of 3 ", "accuracy", "cross_entropy", "5.1/255", "held-out FGSM 50% PGD 40%"):
            assert text in line
    assert "left" in lines[0] and "left" not in lines[-1]
