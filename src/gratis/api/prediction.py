"""Classify images."""

from collections.abc import Sequence
from os import PathLike

from torch import Tensor, nn

from gratis.api.arguments import path_of, python_names, whole_number
from gratis.api.attacking import AttackName, attack_settings, class_count
from gratis.api.loading import ModelPath, load
from gratis.attacks import AttackSettings, frozen
from gratis.data.checks import check_images
from gratis.errors import GratisError
from gratis.run.prediction import Prediction, Predictor, image_files, preparation_of, to_best_device
from gratis.torch_state import full_precision
from gratis.trusted_code import takes_trust_code

Files = str | PathLike[str] | Sequence[str | PathLike[str]]


@python_names
@takes_trust_code
def predict(
    model: nn.Module | ModelPath,
    images: Tensor | Files,
    *,
    top: int = 5,
    attack: AttackName | None = None,
    epsilon: float | str | None = None,
    size: int | None = None,
    white_level: float | None = None,
    trust_code: bool = False,
) -> list[Prediction]:
    """Return the most probable classes of each image.

    Args:
        model: a module that maps images in [0, 1] to logits, or what :func:`load` takes.
        images: float (n, 3, height, width) in [0, 1] on the model's device; or image files or
            folders of them, of any size and mode, which are prepared as in training.
        top: how many classes to return for each image.
        attack: ``fgsm``, ``bim`` or ``pgd``: what it makes of each image is classified too. It
            attacks the predicted class, since the true one is not known.
        epsilon: the size of the attack, in [0, 1] units of pixel value, such as ``"4/255"``.
        size: height and width in pixels that files are resized to, for a model that does not
            know those of its training.
        white_level: the value of white in files of more than 8 bits a channel. Default: as in
            training.
        trust_code: whether to import the code that the recipe of a run names as its network.
            Default: it is refused.

    Raises:
        GratisError: the model cannot be loaded, an image cannot be read, images have another
            shape, or an argument does not apply.
    """
    top = whole_number("top", top, 1)
    settings = attack_for(attack, epsilon)
    module = model if isinstance(model, nn.Module) else load(model)
    predictor = Predictor(module, top, settings)
    if not isinstance(images, Tensor):
        if module is not model:
            to_best_device(module)
        return _predict_files(predictor, images, size, white_level)
    if size is not None or white_level is not None:
        raise GratisError("images: size and white_level apply to files only; leave them out")
    check_images(images)
    if len(images):
        with frozen(module), full_precision(images.device):
            class_count(module, images)
    return predictor.predict(images)


def attack_for(name: AttackName | None, epsilon: float | str | None) -> AttackSettings | None:
    """Return the settings of an attack by its name, if there is one.

    Raises:
        GratisError: only one of the two is given, or one is wrong.
    """
    if name is not None and epsilon is None:
        raise GratisError("--attack: needs --epsilon too, such as 4/255")
    if name is None and epsilon is not None:
        raise GratisError("--epsilon: needs --attack too, such as pgd")
    return None if name is None else attack_settings(name, {"epsilon": epsilon})


def _predict_files(
    predictor: Predictor, images: Files, size: int | None, white_level: float | None
) -> list[Prediction]:
    named = images if isinstance(images, list | tuple) else [images]
    files = [file for each in named for file in image_files(path_of("images", each))]
    if not files:
        return []
    preparation = preparation_of(predictor.module, size, white_level)
    found: list[Prediction] = []
    for prediction in predictor.predict_files(files, preparation):
        if isinstance(prediction, GratisError):
            raise prediction
        found.append(prediction)
    return found
