"""docs/paper.md is what the script writes from the committed results."""

import importlib.util
from pathlib import Path

from gratis.packaged import study_names
from gratis.study import load_study, study_page

ROOT = Path(__file__).parents[2]


def test_the_page_and_the_committed_studies_are_up_to_date():
    spec = importlib.util.spec_from_file_location("update_paper", ROOT / "scripts/update_paper.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.PAGE.read_text(encoding="utf-8") == script.page()
    for name in study_names():
        assert f"gratis study {name} " in script.page()
        for results, folder in script.found(name):
            page = (ROOT / "docs" / folder / "study.md").read_text(encoding="utf-8")
            assert page == study_page(load_study(name), results)


def test_the_guide_lists_every_study():
    guide = (ROOT / "docs/studies.md").read_text(encoding="utf-8")
    for name in study_names():
        assert f"| `{name}` |" in guide
