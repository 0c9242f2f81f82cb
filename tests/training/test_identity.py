from gratis.training.identity import differences


def test_changes_are_listed_by_path_and_the_rest_is_counted():
    before = {"a": "1", "b": "2", "c": "3", "d": "4", "e": "5"}
    assert differences(before, before) == ""
    assert differences(before, before | {"c": "0"}) == "c was 3, is 0"
    shown = "a was 1, is absent; b was 2, is absent; c was 3, is absent; and 2 more"
    assert differences(before, {}) == shown
