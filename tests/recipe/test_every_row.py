from pathlib import Path

import pytest

import gratis
from gratis.packaged import profile_names, recipe_names, recipe_path, row_name
from gratis.recipe import load_profile, read_recipe, resolve
from gratis.schedule import Constant
from gratis.yaml_files import read_yaml

RECIPES = Path(gratis.__file__).parent / "recipes"
NAMES = [p.relative_to(RECIPES).with_suffix("").as_posix() for p in RECIPES.rglob("*.yaml")]
PROFILES = [None, *profile_names()]
PAPER = recipe_names("")
# It is not a row of the record's table, and has a budget of its own.
RECORD = "record/tiny-imagenet"
# They continue a trained model and are in no table.
HARDEN = recipe_names("harden")
# Every profile, with the recipes of its table; None is the paper's recipes as they are.
TABLES = {p: recipe_names(load_profile(p).recipes) if p else PAPER for p in PROFILES}

every_row = pytest.mark.parametrize("name", sorted(NAMES))
every_profile = pytest.mark.parametrize("profile", PROFILES)
row_of_its_table = pytest.mark.parametrize(
    ("profile", "name"), [(profile, name) for profile, names in TABLES.items() for name in names]
)


def test_packaged_names_every_file():
    assert sorted(NAMES) == sorted(recipe_names())
    assert len(NAMES) >= 16


@every_profile
@every_row
def test_every_row_reads_back_from_its_file(name, profile, tmp_path):
    recipe = resolve(name, profile)
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe.to_yaml(), encoding="utf-8")
    again = read_recipe(path)
    assert again == recipe
    assert again.to_yaml() == recipe.to_yaml()
    assert again.weights_identity() == recipe.weights_identity()


@row_of_its_table
def test_a_profile_adds_no_part_to_a_row(name, profile):
    bare, resized = resolve(name), resolve(name, profile)
    assert set(resized.adversary.chosen()) == set(bare.adversary.chosen())
    assert set(resized.terms) == set(bare.terms)
    assert (resized.augment is None) == (bare.augment is None)
    assert (resized.model.denoiser is None) == (bare.model.denoiser is None)
    assert resized.model.backbone == bare.model.backbone
    assert resized.model.freeze_backbone == bare.model.freeze_backbone
    assert (resized.name, resized.order, resized.title) == (bare.name, bare.order, bare.title)
    assert (resized.baseline, resized.reference) == (bare.baseline, bare.reference)
    assert (resized.paper, resized.seed) == (bare.paper, bare.seed)


@every_profile
def test_rows_of_one_backbone_cost_the_same(profile):
    rows = [resolve(name, profile) for name in TABLES[profile] if name != RECORD]
    compared = [row for row in rows if not row.reference]
    assert all(row.train.epoch_unit == "passes" for row in compared)
    for backbone in {row.model.backbone for row in compared}:
        alike = [row for row in compared if row.model.backbone == backbone]
        assert len({row.train.epochs for row in alike}) == 1, backbone
    # Rows differ in method, not in the data, the size of the network or the evaluation.
    assert len({row.data for row in rows}) == 1
    assert len({row.evaluate for row in rows}) == 1
    assert len({(r.model.input_size, r.model.pretrained, r.model.stem) for r in rows}) == 1


@every_profile
def test_one_row_is_the_baseline_and_it_is_natural(profile):
    rows = [resolve(name, profile) for name in TABLES[profile]]
    (baseline,) = [row for row in rows if row.baseline]
    assert set(baseline.adversary.chosen()) == {"natural"}
    # In the paper's table augmentation is a row of its own.
    assert (baseline.augment is None) == (TABLES[profile] == PAPER)


@every_profile
def test_every_row_trains_at_the_same_epsilon(profile):
    # Digits lose too much clean accuracy when trained at the epsilon of their attacks.
    rows = [resolve(name, profile) for name in TABLES[profile] if name != RECORD]
    expected = {"digits": 26 / 255}.get(profile, rows[0].evaluate.epsilon)
    for recipe in rows:
        epsilon = getattr(recipe.adversary_settings, "epsilon", None)
        if epsilon is not None:
            assert epsilon(1) == pytest.approx(expected), recipe.name
            assert epsilon(1) <= recipe.evaluate.epsilon


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(HARDEN)))
def test_every_row_builds_on_one_that_comes_before_it(name):
    recipe = resolve(name)
    assert (recipe.compare_with is None) == recipe.baseline
    table = {row_name(each): each for each in recipe_names(name.rpartition("/")[0])}
    if recipe.compare_with is not None:
        assert resolve(table[recipe.compare_with]).order < recipe.order


@every_profile
def test_training_ends_at_its_lowest_learning_rate(profile):
    rate = resolve(TABLES[profile][0], profile).train.learning_rate
    if not isinstance(rate, Constant):
        assert rate(1) == min(rate(t / 100) for t in range(50, 101))


def test_rows_carry_what_the_paper_reports():
    paper = {name: resolve(name).paper for name in NAMES}
    assert paper["contrastive-scheduled"].fgsm_transfer == 42
    assert paper["resnet18"].geometric == 32
    assert paper["resnet50"].geometric == 20
    assert paper["augmented"].geometric == 35
    assert paper["contrastive-free"].fgsm_transfer == 16
    assert paper["contrastive-autoencoder"].fgsm_transfer == 24


def test_the_scheduled_row_grows():
    free = resolve("contrastive-scheduled").adversary_settings
    for growing in (free.replays, free.epsilon):
        values = [growing(t / 100) for t in range(101)]
        assert values == sorted(values) and values[0] < values[-1]


def test_a_copied_recipe_resolves_as_the_packaged_one(own):
    for name in NAMES:
        copy = own(recipe_path(name).read_text(encoding="utf-8"), f"{row_name(name)}.yaml")
        assert resolve(copy, "digits") == resolve(name, "digits")
        assert read_yaml(Path(copy)) == read_yaml(recipe_path(name))
