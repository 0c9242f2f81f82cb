import pytest

from gratis.objective.reconstruction import ReconstructionSettings


@pytest.mark.parametrize("target", ["image", "view"])
@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("n", [1, 5])
def test_agrees_with_plain_python(target, views, n, one_batch):
    batch, output = one_batch(n, views)
    total = count = 0
    for row in range(views * n):
        wanted = batch.views[row] if target == "view" else batch.images[row % n]
        for seen, pixel in zip(output.denoised[row].flatten(), wanted.flatten(), strict=True):
            total += (seen.item() - pixel.item()) ** 2
            count += 1
    loss = ReconstructionSettings(target=target).build()(output, batch)
    assert loss.item() == pytest.approx(total / count, rel=1e-5)


def test_the_default_target_is_the_image_before_augmentation():
    assert ReconstructionSettings().target == "image"


def test_without_a_denoiser_it_is_an_error(one_batch):
    batch, output = one_batch()
    with pytest.raises(ValueError, match="no denoiser"):
        ReconstructionSettings().build()(output._replace(denoised=None), batch)
