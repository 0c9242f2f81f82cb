import pytest

from gratis.results import overfitted, pgd_fell


@pytest.mark.parametrize(
    "fgsm, pgd, expected",
    [(0.8, 0.1, True), (0.5, 0.45, False), (0.12, 0.0, False), (0.9, 0.6, False)],
)
def test_collapse_needs_a_large_absolute_and_relative_drop(fgsm, pgd, expected):
    assert overfitted(0.9, fgsm, pgd, 200, 0.1) is expected


@pytest.mark.parametrize(
    ("clean", "fgsm", "pgd", "images", "guessing"),
    [
        (0.25, 0.24, 0.0, 200, 0.2),  # at chance
        (0.9, 0.4, 0.15, 20, 0.1),  # too few images
        (None, 0.8, 0.1, 200, 0.1),
        (0.9, None, 0.1, 200, 0.1),
        (0.9, 0.8, None, 200, 0.1),
    ],
)
def test_collapse_needs_a_model_that_works_and_enough_images(clean, fgsm, pgd, images, guessing):
    assert not overfitted(clean, fgsm, pgd, images, guessing)


@pytest.mark.parametrize(
    ("before", "pgd", "images", "expected"),
    [
        ([], 0.0, 100, False),
        ([0.0, 0.16, 0.24], 0.28, 25, False),  # rising
        ([0.0, 0.0], 0.0, 100, False),
        ([0.4, 0.5], 0.02, 50, True),
        ([0.5, 0.05], 0.05, 50, True),  # still below the best
        ([0.5], 0.3, 50, False),
        ([0.24], 0.1, 25, False),  # noise of 25 images
    ],
)
def test_pgd_fell_only_from_what_it_had(before, pgd, images, expected):
    assert pgd_fell(before, pgd, images) is expected
