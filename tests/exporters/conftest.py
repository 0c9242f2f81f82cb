import pytest

import gratis

TINY = ["model.channels=[8,8,8,16]", "train.epochs=1", "evaluate.images=40", "evaluate.pgd_steps=1"]


@pytest.fixture(scope="session")
def paper_run(tmp_path_factory):
    """A run with the paper's head, a denoiser, a small stem and images resized from 8 to 32."""
    overrides = [*TINY, "model.head.width=16", "model.input_size=32", "model.denoiser.width=4"]
    folder = tmp_path_factory.mktemp("export") / "paper"
    return gratis.train("resnet18", data="digits", out=folder, overrides=overrides)


@pytest.fixture(scope="session")
def photo_run(tmp_path_factory, tiny_imagenet):
    """A run on real images of four classes, with a plain class layer."""
    overrides = [
        *("model.channels=[8,8,16,16]", "model.head.layers=0", "model.stem=imagenet"),
        *("train.epochs=15", "train.batch_size=32", "data.classes=4", "data.size=48"),
        *("evaluate.images=40", "evaluate.pgd_steps=1"),
    ]
    return gratis.train(
        "resnet18",
        data="tiny-imagenet",
        data_root=tiny_imagenet,
        profile="tiny-imagenet-small",
        out=tmp_path_factory.mktemp("export") / "photos",
        overrides=overrides,
    )
