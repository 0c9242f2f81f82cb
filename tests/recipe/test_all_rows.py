import pytest

from gratis.errors import GratisError
from gratis.packaged import recipe_names, row_name
from gratis.recipe import choose_rows, load_profile, resolve, resolve_rows
from gratis.yaml_files import dump_yaml


@pytest.mark.parametrize("profile", ["digits", "tiny-imagenet-small", "record-small"])
def test_all_rows_of_a_profile_are_in_the_order_of_the_table(profile):
    left_out = load_profile(profile).leave_out
    expected = {
        row_name(n): n
        for n in recipe_names(load_profile(profile).recipes)
        if row_name(n) not in left_out
    }
    rows = resolve_rows(profile)
    assert [row.name for row in rows] == list(expected)
    assert all(row == resolve(expected[row.name], profile) for row in rows)


def test_a_profile_of_a_folder_without_recipes_is_refused(own):
    with pytest.raises(GratisError, match="recipes: no packaged recipes in 'recrod'"):
        resolve_rows(own("title: t\nrecipes: recrod"))


def test_an_override_changes_only_the_rows_that_have_its_key():
    plain = resolve_rows("digits")
    rows = resolve_rows("digits", ["augment.rotation=30", "adversary.pgd.steps=2"])
    for row, before in zip(rows, plain, strict=True):
        assert (row.augment is None) == (before.augment is None)
        assert row.augment is None or row.augment.rotation == 30
        assert row.adversary.chosen().keys() == before.adversary.chosen().keys()
        if before.augment is None:
            assert row == before
    assert any(row.augment is None for row in rows)
    (attacked,) = {row.adversary.pgd.steps for row in rows if row.adversary.pgd}
    assert attacked == 2


def test_an_override_reaches_every_row():
    assert {row.train.epochs for row in resolve_rows("digits", ["train.epochs=2"])} == {2}
    assert {row.data.classes for row in resolve_rows("digits", ["data.classes=3"])} == {3}


def test_a_word_alone_replaces_the_adversary_of_every_row():
    rows = resolve_rows("digits", ["adversary=free", "adversary.free.replays=2"])
    assert {tuple(row.adversary.chosen()) for row in rows} == {("free",)}
    assert {row.adversary_settings.replays(0) for row in rows} == {2}


def test_an_override_that_no_row_has_is_refused(own):
    others = [name for name in recipe_names() if not name.startswith("pgd")]
    without = [name for name in recipe_names() if name not in others]
    profile = own(dump_yaml({"title": "t", "leave_out": without}))
    with pytest.raises(GratisError, match=r"adversary\.pgd\.steps=2: no recipe has this key"):
        resolve_rows(profile, ["train.epochs=2", "adversary.pgd.steps=2"])
    with pytest.raises(GratisError, match=r"train\.epoch: unknown key; did you mean 'epochs'"):
        resolve_rows("digits", ["train.epoch=2"])
    with pytest.raises(GratisError, match="not of the form key=value: 'a', 'b'"):
        resolve_rows("digits", ["a", "b"])


def test_a_profile_cannot_leave_out_what_is_not_there(own):
    with pytest.raises(GratisError, match="no recipe to leave out 'fre'; did you mean 'free'"):
        resolve_rows(own("title: t\nleave_out: [fre]"))


def test_rows_are_chosen_by_name():
    rows = resolve_rows("digits")
    assert choose_rows(rows, []) == rows
    assert [row.name for row in choose_rows(rows, ["free", "augmented"])] == ["augmented", "free"]
    with pytest.raises(GratisError, match="no recipe 'fre'; did you mean 'free'"):
        choose_rows(rows, ["augmented", "fre"])


def test_several_values_make_a_row_of_each():
    plain = {row.name: row for row in resolve_rows("digits")}
    rows = {row.name: row for row in resolve_rows("digits", ["adversary.pgd.steps=2,3,5"])}
    steps = {name: row.adversary.pgd.steps for name, row in rows.items() if row.adversary.pgd}
    assert steps["pgd@steps-2"] == 2 and steps["pgd@steps-5"] == 5 and "pgd" not in steps
    assert [rows[f"pgd@steps-{n}"].compare_with for n in (2, 3, 5)] == [
        plain["pgd"].compare_with,
        *["pgd@steps-2"] * 2,
    ]
    assert rows["pgd@steps-3"].title == f"{plain['pgd'].title}, steps 3"
    others = [name for name in plain if not name.startswith("pgd")]
    assert {name: rows[name] for name in others} == {name: plain[name] for name in others}


def test_values_combine_keep_one_baseline_and_are_chosen_by_their_row():
    changes = ["adversary.free.epsilon=2/255,4/255", "train.epochs=1,2"]
    rows = resolve_rows("digits", changes)
    assert sum(row.baseline for row in rows) == 1
    chosen = choose_rows(rows, ["free"])
    assert [row.name for row in chosen] == [
        "free@epsilon-2-255-epochs-1",
        "free@epsilon-2-255-epochs-2",
        "free@epsilon-4-255-epochs-1",
        "free@epsilon-4-255-epochs-2",
    ]
    assert {(row.adversary.free.epsilon(0), row.train.epochs) for row in chosen} == {
        (2 / 255, 1),
        (2 / 255, 2),
        (4 / 255, 1),
        (4 / 255, 2),
    }
    assert choose_rows(rows, [chosen[1].name]) == [chosen[1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("evaluate.epsilon=1/255,2/255", "all rows of a table share evaluate.epsilon; give one"),
        ("seed=1,2", "all rows of a table share seed"),
        ("train.epochs=1,", "needs different values, separated by commas"),
        ("train.epochs=1,1", "needs different values"),
        ("adversary.pgd.stpes=1,2", "stpes"),
        ("augment.rotation=1,much", "recipe"),
    ],
)
def test_values_that_make_no_rows_are_refused(change, message):
    with pytest.raises(GratisError, match=message):
        resolve_rows("digits", [change])


def test_a_recipe_of_ones_own_is_a_row(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("title: Mine\nadversary: {free: {epsilon: 3/255}}\nobjective: cross_entropy\n")
    rows = resolve_rows("digits", ["train.epochs=3"], [str(path)])
    mine = rows[-1]
    assert (mine.name, mine.title, mine.train.epochs) == ("mine", "Mine", 3)
    assert mine.model == rows[0].model and mine.data == rows[0].data
    assert [row.name for row in choose_rows(rows, [str(path), "free"])] == ["free", "mine"]
    varied = resolve_rows("digits", ["adversary.free.epsilon=1/255,2/255"], [str(path)])
    assert len(choose_rows(varied, [str(path)])) == 2
    path.write_text("name: free\ntitle: Mine\n")
    with pytest.raises(GratisError, match="there is another recipe 'free'; set another name in it"):
        resolve_rows("digits", [], [str(path)])
