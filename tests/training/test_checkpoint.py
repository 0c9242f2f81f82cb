import pickle
import shutil

import pytest
import torch
from safetensors.torch import save_file

from gratis.errors import GratisError
from gratis.training import checkpoint, checkpoint_file
from gratis.training.fit import fit

IDENTITY = {"seed": "0", "train.epochs": "1"}
OTHERS = {"seed": "7", "train.epochs": "1"}
LOADERS = {
    "load": lambda path, train_state: checkpoint.load(path, train_state, IDENTITY, 64),
    "load_weights": lambda path, train_state: checkpoint.load_weights(
        path, train_state.module, IDENTITY
    ),
}
both = pytest.mark.parametrize("loader", LOADERS.values(), ids=LOADERS)


def state(train_state):
    return {name: tensor.clone() for name, tensor in train_state.module.state_dict().items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.fixture(scope="module")
def run(trainer_of, tmp_path_factory):
    """The folder of a short run and its trainer; tests change neither."""
    folder = tmp_path_factory.mktemp("run")
    trainer = trainer_of("free", ema_decay=0.9, epochs=1)
    fit(trainer, folder, IDENTITY)
    return folder, trainer


@pytest.fixture
def saved(run, tmp_path):
    """A copy of the checkpoint of a short run, which tests may change, and its trainer."""
    folder, trainer = run
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return tmp_path / "checkpoint.safetensors", trainer


@pytest.fixture(scope="module")
def untouched(trainer_of):
    """The state of a fresh run; a refused checkpoint does not change it."""
    return trainer_of("free", ema_decay=0.9).train_state


def refuses(path, train_state, loader, match):
    before = state(train_state)
    with pytest.raises(GratisError, match=match) as caught:
        loader(path, train_state)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert same(before, state(train_state))


@both
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused(share, loader, saved, untouched):
    path, _ = saved
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    checkpoint_file.previous(path).unlink()
    refuses(path, untouched, loader, "damaged or not a checkpoint")


@both
def test_a_pickle_is_refused_and_never_run(loader, trainer_of, tmp_path):
    path = tmp_path / "checkpoint.safetensors"

    class Trap:
        def __reduce__(self):
            return (path.with_name("sprung").touch, ())

    path.write_bytes(pickle.dumps(Trap()))
    refuses(path, trainer_of().train_state, loader, "damaged or not a checkpoint")
    assert not path.with_name("sprung").exists()


@both
def test_a_file_of_other_tensors_is_refused(loader, trainer_of, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    refuses(path, trainer_of().train_state, loader, "not a checkpoint of this version")


@both
def test_another_format_is_refused(loader, saved, untouched):
    path, _ = saved
    tensors, metadata = checkpoint_file.read(path)
    checkpoint_file.write(path, tensors, metadata | {"format": "0"})
    refuses(path, untouched, loader, "this version")


@both
def test_another_recipe_or_data_set_is_refused(loader, trainer_of, tmp_path):
    trainer = trainer_of(epochs=1)
    fit(trainer, tmp_path, OTHERS)
    refuses(
        tmp_path / "checkpoint.safetensors", trainer.train_state, loader, "another recipe or data"
    )


@both
def test_weights_that_are_not_finite_are_refused(loader, saved, untouched):
    path, _ = saved
    tensors, metadata = checkpoint_file.read(path)
    tensors["model.head.classes.weight"][0, 0] = torch.nan
    checkpoint_file.write(path, tensors, metadata)
    refuses(path, untouched, loader, r"not finite \(model\.head\.classes\.weight\)")


@both
@pytest.mark.parametrize("key", ["identity", "position"])
@pytest.mark.parametrize("text", [None, "", "[", "[1]", '{"passes": "many"}'])
def test_a_forged_position_or_identity_is_refused(key, text, loader, saved, untouched):
    path, _ = saved
    tensors, metadata = checkpoint_file.read(path)
    del metadata[key]
    checkpoint_file.write(path, tensors, metadata | ({} if text is None else {key: text}))
    checkpoint_file.previous(path).unlink()
    shown = "damaged or not a checkpoint|another recipe"
    refuses(path, untouched, loader, shown)


@pytest.mark.parametrize(
    "name, tensor",
    [
        ("optimizer.first.momentum_buffer", torch.zeros(3)),
        ("optimizer.999.momentum_buffer", torch.zeros(3)),
        ("adversary.delta", torch.zeros(3, 3)),
        ("adversary.gamma_generator", torch.zeros(3)),
    ],
)
def test_a_forged_state_is_refused(name, tensor, saved, trainer_of):
    path, _ = saved
    tensors, metadata = checkpoint_file.read(path)
    checkpoint_file.write(path, tensors | {name: tensor}, metadata)
    with pytest.raises(GratisError, match="does not fit this run"):
        LOADERS["load"](path, trainer_of("free", ema_decay=0.9).train_state)


@both
def test_the_error_lists_what_differs(loader, trainer_of, tmp_path):
    trainer = trainer_of(epochs=1)
    fit(trainer, tmp_path, OTHERS | {"train.batch_size": "8"})
    shown = r"\(seed was 7, is 0; train\.batch_size was 8, is absent\)"
    refuses(tmp_path / "checkpoint.safetensors", trainer.train_state, loader, shown)


@both
def test_an_identity_with_old_names_is_that_of_the_present_ones(loader, trainer_of, tmp_path):
    trainer = trainer_of(epochs=1)
    fit(trainer, tmp_path, IDENTITY | {"train.count": "passes", "adversary.free.reset": "true"})
    present = IDENTITY | {"train.epoch_unit": "passes", "adversary.free.reset_delta": "true"}
    assert checkpoint.finished(tmp_path / "checkpoint.safetensors", present)
    shown = r"train\.epoch_unit was passes, is absent"
    refuses(tmp_path / "checkpoint.safetensors", trainer.train_state, loader, shown)


@both
def test_another_model_is_refused(loader, saved, trainer_of):
    path, _ = saved
    objective = {"cross_entropy": {}, "reconstruction": {}}
    other = trainer_of("free", objective, denoiser=True, ema_decay=0.9)
    refuses(path, other.train_state, loader, r"another model \(\d+ tensors differ, first denoiser")


def test_a_run_without_an_average_is_not_resumed_with_one(trainer_of, tmp_path):
    fit(trainer_of("free", epochs=1), tmp_path, IDENTITY)
    train_state = trainer_of("free", ema_decay=0.9).train_state
    with pytest.raises(GratisError, match="another model"):
        LOADERS["load"](tmp_path / "checkpoint.safetensors", train_state)


@both
def test_a_missing_checkpoint_is_named(loader, trainer_of, tmp_path):
    refuses(tmp_path / "none.safetensors", trainer_of().train_state, loader, "no such checkpoint")


def test_the_averaged_weights_are_loaded(saved, trainer_of):
    path, trainer = saved
    fresh = trainer_of("natural").train_state
    position = checkpoint.load_weights(path, fresh.module, IDENTITY)
    assert same(state(fresh), dict(trainer.train_state.average.module.state_dict()))
    assert not same(state(fresh), state(trainer.train_state))
    assert position.finished
    assert position.passes == trainer.position.passes


def test_without_an_average_the_weights_themselves_are_loaded(trainer_of, tmp_path):
    trainer = trainer_of(epochs=1)
    fit(trainer, tmp_path, IDENTITY)
    fresh = trainer_of().train_state
    checkpoint.load_weights(tmp_path / "checkpoint.safetensors", fresh.module, IDENTITY)
    assert same(state(fresh), state(trainer.train_state))


def test_a_folder_that_cannot_be_written_leaves_nothing_behind(saved, trainer_of, tmp_path):
    _, trainer = saved
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(GratisError, match="cannot be written"):
        checkpoint.save(
            blocked / "checkpoint.safetensors", trainer.train_state, trainer.position, {}, IDENTITY
        )
    assert not list(tmp_path.rglob("*.partial"))


def test_loaded_weights_keep_their_memory_format(saved, trainer_of):
    path, _ = saved
    train_state = trainer_of("free", ema_decay=0.9).train_state
    checkpoint.load(path, train_state, IDENTITY, 64)
    weight = train_state.module.backbone.layer1[0].conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    # Like those of the optimizer: updates of mixed formats are slow.
    momentum = train_state.optimizer.state[weight]["momentum_buffer"]
    assert momentum.stride() == weight.stride()


def test_the_weights_of_an_unfinished_run_are_refused(trainer_of, tmp_path):
    path, stops = tmp_path / "checkpoint.safetensors", iter([False])
    assert not checkpoint.finished(path, IDENTITY)
    assert not fit(trainer_of(epochs=2), tmp_path, IDENTITY, lambda: next(stops, True))
    assert not checkpoint.finished(path, IDENTITY)
    refuses(
        path, trainer_of().train_state, LOADERS["load_weights"], "unfinished run.*gratis resume"
    )
    assert fit(trainer_of(epochs=2), tmp_path, IDENTITY)
    assert checkpoint.finished(path, IDENTITY)
    checkpoint.load_weights(path, trainer_of().train_state.module, IDENTITY)


def test_finished_refuses_another_run_and_a_damaged_checkpoint(saved):
    path, _ = saved
    with pytest.raises(GratisError, match="another recipe or data"):
        checkpoint.finished(path, OTHERS)
    path.write_bytes(path.read_bytes()[:100])
    checkpoint_file.previous(path).unlink()
    with pytest.raises(GratisError, match="damaged"):
        checkpoint.finished(path, IDENTITY)
