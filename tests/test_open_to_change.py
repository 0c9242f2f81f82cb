"""Files that are written in place, where a link may appear at any moment."""

import pytest

from gratis import regular_files
from gratis.errors import GratisError
from gratis.regular_files import open_to_change


@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_that_appears_after_the_check_is_not_followed(tmp_path, monkeypatch, dangling):
    target, link = tmp_path / "target", tmp_path / "metrics.jsonl"
    link.symlink_to(target)
    if not dangling:
        target.write_text("kept")
    with pytest.raises(GratisError, match="is a symbolic link"):
        open_to_change(link)
    monkeypatch.setattr(regular_files, "refuse_link", lambda path: None)
    with pytest.raises(OSError, match="symbolic link"):
        open_to_change(link)
    assert not target.exists() if dangling else target.read_text() == "kept"
