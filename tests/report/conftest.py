import pytest

from gratis.results import Paper, Results


@pytest.fixture
def result():
    def make(recipe="resnet18", seed=0, **changes):
        fields = dict(
            recipe=recipe,
            title=recipe.title(),
            seed=seed,
            clean=0.8,
            geometric=0.5,
            transfer=0.4,
            fgsm_transfer=0.3,
            fgsm=0.2,
            pgd=0.1,
            n=200,
            classes=10,
            epsilon=8 / 255,
            pgd_steps=20,
            data="digits",
            train_images=1000,
            backbone="resnet18",
            parameters=11_000_000,
            image_size=64,
            input_size=224,
            passes=55_000.0,
            epochs=5.5,
            seconds=87.3,
            device="cpu",
        )
        return Results(**(fields | changes))

    return make


@pytest.fixture
def results(result):
    """A baseline, a row of three seeds that collapsed, and a reference that lacks two sets."""
    paper = Paper(geometric=48, fgsm_transfer=28)
    return [
        result("baseline", baseline=True, paper=Paper(geometric=32)),
        *(
            result("free", seed, fgsm=0.6 + seed / 100, pgd=0.02, input_size=64, paper=paper)
            for seed in range(3)
        ),
        result("pgd-full", reference=True, transfer=None, fgsm_transfer=None, clean=1.0),
    ]
