"""Harden a trained model."""

from collections.abc import Sequence
from os import PathLike

from gratis.api.arguments import data_overrides, listed, optional_path, python_names
from gratis.api.loading import ModelPath, source_of
from gratis.api.training import default_folder
from gratis.attacks import Norm
from gratis.loggers import require
from gratis.run import Hardening, HardeningAdversary, RunFolder, hardened_recipe
from gratis.run import train as train_run
from gratis.settings import overrides_of
from gratis.trusted_code import takes_trust_code


@python_names
@takes_trust_code
def harden(
    model: ModelPath,
    *,
    weights: ModelPath | None = None,
    input_size: int | None = None,
    data: str | None = None,
    data_root: str | PathLike[str] | None = None,
    skip_broken: bool = False,
    budget: str | float | None = "20m",
    epsilon: float | str | None = None,
    norm: Norm = "linf",
    adversary: HardeningAdversary = "free",
    keep_clean: float | None = None,
    out: str | PathLike[str] | None = None,
    sets: str | PathLike[str] | None = None,
    overrides: Sequence[str] = (),
    log: str | Sequence[str] = (),
    trust_code: bool = False,
) -> RunFolder:
    """Make a trained model robust, and evaluate it before and after.

    If the model has other classes than the data, it is first trained naturally with a new class
    layer. Then it is trained under an attack that grows from nothing to ``epsilon``. Of the models
    between the natural and the hardened one, the best on held-out training images is chosen. The
    same call continues an interrupted run.

    Args:
        model: a run or its folder; ``hub:USER/NAME``, a run that was shared; or the name of a
            timm model, with ``weights``.
        weights: the local weights of a timm model: safetensors, or tensors saved by torch.
        input_size: height and width in pixels that a timm model sees. Default: the images' own;
            for ``folder:PATH``, what the model was designed for.
        data: ``digits``, ``tiny-imagenet``, ``cifar10``, ``cifar100`` or ``folder:PATH``.
            Default: the run's.
        data_root: the folder that holds the data set.
        skip_broken: whether to leave out images that cannot be read. Default: they are an error.
        budget: how long training may take, such as ``"20m"``, or seconds. ``None`` trains for
            ``train.epochs``. Measuring takes additional time.
        epsilon: the norm of the attack, in [0, 1] units of pixel value, such as ``4 / 255`` or
            ``"4/255"``. Default: 4/255 in L-infinity, 0.5 in L2.
        norm: ``linf`` or ``l2``, that of the attack. In L2, epsilon is the length of an image's
            whole perturbation, and the evaluation measures both norms.
        adversary: ``free`` (free training with 4 replays) or ``n_fgsm`` (N-FGSM).
        keep_clean: the most points of held-out clean accuracy to give up; the most robust such
            model is chosen. Default: the model with the highest expected accuracy.
        out: the folder of the run. Default: ``runs/harden-MODEL-DATA-seedN``.
        sets: a folder of perturbed validation sets to evaluate on.
        overrides: ``key=value``, such as ``"train.batch_size=32"``.
        log: loggers that are told of the run: ``tensorboard``, ``wandb``, ``mlflow``, or several.
            Each needs the extra of its name. Default: none.
        trust_code: whether to import the code that the recipe of a run names as its network.
            Default: it is refused.

    Returns:
        The run's folder, which :func:`load` and :func:`evaluate` take as a model. Its subfolder
        ``natural`` has the natural model.

    Raises:
        GratisError: the model or the data cannot be loaded, a setting is wrong, or training
            diverges; as :class:`gratis.errors.Interrupted`, a stop was asked for.
    """
    require(log)
    asked = Hardening(
        source=source_of(model, weights, input_size),
        data=data_overrides(data, optional_path("data_root", data_root), skip_broken),
        epsilon=epsilon,
        norm=norm,
        adversary=adversary,
        keep_clean=keep_clean,
        overrides=[*overrides_of({"train.budget": budget}), *listed(overrides)],
    )
    recipe, start = hardened_recipe(asked)
    folder = optional_path("out", out) or default_folder(recipe)
    train_run(recipe, folder, optional_path("sets", sets), start, log)
    return RunFolder(folder)
