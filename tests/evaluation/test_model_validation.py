"""Models that would be measured wrongly are refused with a remedy, and no others."""

import pytest
import torch
from torch import nn
from torch.nn.functional import logsigmoid, softplus, softsign

import digits_models
from gratis.data import to_float
from gratis.errors import GratisError
from gratis.evaluation.model_validation import validate_model
from gratis.evaluation.scores import scores

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def normalised(images):
    return (images - MEAN) / STD


@pytest.fixture(scope="module")
def expecting():
    """A network trained on normalised images that does not normalise them itself."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, stride=2),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )
    return digits_models.train(see=normalised, net=net, rate=1e-2)


class Behind(nn.Module):
    """A network with a function before it and one after it."""

    def __init__(self, net, before=lambda images: images, after=lambda logits: logits):
        super().__init__()
        self.net, self.before, self.after = net, before, after

    def forward(self, images):
        return self.after(self.net(self.before(images)))


def check(model, attacks=True, batch_size=250):
    validate_model(model, digits_models.digits(), "model", attacks, batch_size)


@pytest.mark.parametrize("sound", [digits_models.natural, digits_models.robust])
def test_a_sound_model_passes_and_is_left_alone(sound):
    model = sound()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    check(model)
    assert model.training and all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    model.eval()


def test_batches_are_no_larger_than_the_batch_size():
    sizes = []

    def note(images):
        sizes.append(len(images))
        return images

    check(Behind(digits_models.natural(), before=note), batch_size=60)
    assert max(sizes) == 60 and sizes.count(20) == sizes.count(60) // 3  # 200 images


def test_a_model_that_normalises_once_passes(expecting):
    check(Behind(expecting, normalised))


@pytest.mark.parametrize("batch_size", [30, 250])
def test_a_model_that_expects_normalised_images_is_refused(expecting, batch_size):
    with pytest.raises(GratisError, match=r"model: expects normalised images.*inside the model"):
        check(expecting, batch_size=batch_size)


def test_a_model_that_expects_the_statistics_of_the_data_is_refused():
    pixels = torch.from_numpy(digits_models.digits().train.images).double() / 255
    mean, std = pixels.mean(), pixels.std()
    model = digits_models.train(see=lambda images: ((images - mean) / std).float())
    with pytest.raises(GratisError, match="expects normalised images"):
        check(model)


def test_a_model_that_expects_255_levels_is_refused():
    model = Behind(digits_models.natural(), lambda images: images / 255)
    with pytest.raises(GratisError, match=r"expects normalised images.* \[0, 255\]"):
        check(model)


def test_a_model_that_normalises_twice_is_refused(expecting):
    with pytest.raises(GratisError, match=r"model: normalises twice.*ImageNet.*normalise once"):
        check(Behind(expecting, lambda images: normalised(normalised(images))))


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (lambda logits: logits.softmax(1), "returns probabilities.*leave out the softmax"),
        (lambda logits: logits.softmax(1).half(), "returns probabilities"),
        (lambda logits: logits.sigmoid(), r"returns scores in \[0, 1\].*leave out the sigmoid"),
        (lambda logits: logits.sigmoid().half(), "leave out the sigmoid"),
        (lambda logits: logits.tanh(), r"returns scores in \[-1, 1\].*leave out the tanh"),
        (lambda logits: 2 * logits.sigmoid() - 1, "leave out the tanh"),
        (lambda logits: 10 * logits.sigmoid(), r"scores in \[0, 10\].*leave out the sigmoid"),
        (lambda logits: 3 * logits.tanh(), r"returns scores in \[-3, 3\].*leave out the tanh"),
        (lambda logits: 100 * logits.softmax(1), "probabilities times 100.*leave out the softmax"),
        (lambda logits: -(-logits).softmax(1), "probabilities times -1,.*leave out the softmax"),
        (lambda logits: logsigmoid(logits), "logarithms of scores.*leave out the log-sigmoid"),
        (lambda logits: logits[:, :7], "returns 200x7 numbers.*each of the 10 classes"),
        (lambda logits: torch.cat([logits, logits], 1), "returns 200x20 numbers"),
        (lambda logits: logits.argmax(1), "returns 200 numbers"),
        (lambda logits: logits[:, :, None, None], "returns 200x10x1x1 numbers"),
        (lambda logits: logits / 0, "not finite"),
        (lambda logits: (logits, logits), "returns tuple; return the logits"),
        (lambda logits: logits.detach(), "has no gradient.*--suite transfer"),
        (lambda logits: torch.from_numpy(logits.detach().numpy()), "has no gradient"),
    ],
)
def test_the_output_must_be_logits(after, message):
    with pytest.raises(GratisError, match=message):
        check(Behind(digits_models.natural(), after=after))


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("seed", range(20))
def test_one_answer_for_all_images_is_no_softmax(sign, seed):
    """The mean over images differs from them by rounding, which is no difference."""
    answer = torch.rand(2, generator=torch.Generator().manual_seed(seed))
    assert scores(sign * 0.1 * answer.repeat(24, 1)) is None


@pytest.mark.parametrize("bias", [torch.zeros(10), torch.linspace(0, 0.9, 10)])
def test_a_class_layer_of_zeros_is_measured(bias):
    """It is how some networks begin; its answer says nothing about the layer that is last."""
    net = digits_models.network()
    nn.init.zeros_(net[-1].weight)
    net[-1].bias.data = bias
    check(net)


@pytest.mark.parametrize(
    "after",
    [
        lambda logits: logits.relu(),
        lambda logits: logits.clamp(-3, 3),
        lambda logits: logits - logits.max().detach() - 5,
        lambda logits: logits - logits.mean(1, keepdim=True),
        softplus,
        softsign,
    ],
)
@pytest.mark.parametrize("net", [digits_models.natural, digits_models.robust])
def test_unusual_logits_are_no_scores(net, after):
    images = to_float(digits_models.digits().validation.images[:200], "cpu")
    assert scores(after(net()(images))) is None


@pytest.mark.parametrize("temperature", [1e-4, 0.02])
def test_small_logits_are_no_scores(temperature):
    check(Behind(digits_models.natural(), after=lambda logits: temperature * logits))


def test_a_gradient_that_is_finite_nowhere_is_refused():
    def with_root(change):
        return lambda images: images + 0 * change(images).abs().sqrt()

    with pytest.raises(GratisError, match="not finite at any pixel; add a small number inside"):
        check(Behind(digits_models.natural(), with_root(lambda images: images - images)))
    # At one value of the pixels alone.
    check(Behind(digits_models.natural(), with_root(lambda images: images)))


@pytest.mark.parametrize("batch_size", [1, 3, 250])
def test_scores_are_found_in_batches_of_any_size(batch_size):
    model = Behind(digits_models.natural(), after=lambda logits: logits.sigmoid())
    with pytest.raises(GratisError, match="leave out the sigmoid"):
        check(model, batch_size=batch_size)


class BatchNorm(nn.Module):
    """A network whose features are normalised by the batch, also in evaluation mode."""

    def __init__(self, pooled):
        super().__init__()
        torch.manual_seed(0)
        pool = nn.AdaptiveAvgPool2d(1) if pooled else nn.Identity()
        self.features = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, stride=2), pool)
        self.norm = nn.BatchNorm2d(16, track_running_stats=False)
        self.last = nn.Linear(16 if pooled else 256, 10)

    def forward(self, images):
        return self.last(self.norm(self.features(images)).flatten(1))


NEIGHBOURS = {
    "mean of the logits": lambda: Behind(
        digits_models.natural(), after=lambda logits: logits - logits.mean(0, keepdim=True)
    ),
    "a tenth of the mean": lambda: Behind(
        digits_models.natural(), after=lambda logits: logits - 0.1 * logits.mean(0, keepdim=True)
    ),
    "mean of the images": lambda: Behind(
        digits_models.natural(), before=lambda images: images - images.mean(0) + 0.3
    ),
    "largest pixel": lambda: Behind(
        digits_models.natural(), before=lambda images: images / images.mean((0, 2, 3)).max()
    ),
    "softmax over the batch": lambda: Behind(
        digits_models.natural(), after=lambda logits: logits.log_softmax(0)
    ),
    "order in the batch": lambda: Behind(
        digits_models.natural(), after=lambda logits: logits.cumsum(0)
    ),
    "batch norm": lambda: BatchNorm(pooled=False),
}


@pytest.mark.parametrize("neighbours", NEIGHBOURS)
@pytest.mark.parametrize("batch_size", [5, 250])
def test_a_model_whose_answer_depends_on_the_batch_is_refused(neighbours, batch_size):
    with pytest.raises(GratisError, match=r"rest of its batch is different.*running statistics"):
        check(NEIGHBOURS[neighbours](), batch_size=batch_size)


def test_a_model_that_needs_a_batch_is_refused():
    with pytest.raises(GratisError, match=r"fails on smaller batches.*running statistics"):
        check(BatchNorm(pooled=True))


@pytest.mark.parametrize("batch_size", [1, 5, 250])
def test_rounding_and_random_numbers_are_no_dependence_on_the_batch(batch_size):
    natural = digits_models.natural()
    half = Behind(natural, after=lambda logits: logits.bfloat16())
    noisy = Behind(natural, before=lambda images: images + 0.05 * torch.randn_like(images))
    for model in (half, noisy):
        check(model, batch_size=batch_size)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("channels", [16, 64])
def test_a_model_at_chance_is_not_refused(seed, channels):
    """Random networks name a few classes, and which ones changes with the scale of the images."""
    torch.manual_seed(seed)
    check(
        nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * channels, 10),
        )
    )


@pytest.mark.parametrize("order", [1, 4])
def test_a_model_with_another_order_of_classes_is_not_refused(order):
    check(Behind(digits_models.robust(), after=lambda logits: logits.roll(order, 1)))


def test_logarithms_of_probabilities_are_accepted():
    check(Behind(digits_models.natural(), after=lambda logits: logits.log_softmax(1)))


def test_a_gradient_is_needed_for_attacks_only():
    check(Behind(digits_models.natural(), after=lambda logits: logits.detach()), attacks=False)


def test_a_model_that_fails_on_the_images_is_refused():
    with pytest.raises(GratisError, match=r"model: fails on .* 3x8x8 .*RuntimeError.*resize"):
        check(nn.Sequential(nn.Flatten(), nn.Linear(7, 10)))


def test_a_models_own_error_stays_on_one_line():
    def fail(images):
        raise ValueError("one\ntwo\x1b[31m")

    with pytest.raises(GratisError, match=r"ValueError: one\\ntwo\\x1b\[31m") as refused:
        check(Behind(digits_models.natural(), fail))
    assert "\n" not in str(refused.value)
