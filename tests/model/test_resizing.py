import pytest
import torch

from gratis.model.resizing import resized
from gratis.seeds import generator


def gradient_of(images, make):
    inputs = images.detach().requires_grad_()
    (make(inputs) ** 2).sum().backward()
    return inputs.grad


@pytest.mark.parametrize(("height", "size"), [(8, 20), (20, 8)])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_both_memory_formats_are_resized_alike_with_their_gradients(height, size, layout):
    drawn = torch.rand((3, 3, height, height), generator=generator("cpu", "resized"))
    images = drawn.contiguous(memory_format=layout)

    def by_torch(images):
        return torch.nn.functional.interpolate(
            images, (size, size), mode="bilinear", antialias=size < height
        )

    torch.testing.assert_close(resized(images, size), by_torch(images))
    expected = gradient_of(images, by_torch)
    torch.testing.assert_close(gradient_of(images, lambda x: resized(x, size)), expected)


@pytest.mark.parametrize("size", [None, 8])
def test_images_of_that_size_are_left_alone(size):
    images = torch.rand(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    assert resized(images, size) is images
