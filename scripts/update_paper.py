"""Write docs/paper.md and the pages of docs/results/studies from the committed study results.

The command::

    uv run python scripts/update_paper.py

Results are those of ``gratis study``: its ``study.json`` in ``docs/results/studies/PROFILE/NAME``.
"""

from pathlib import Path

from gratis.packaged import study_names
from gratis.study import StudyResults, claims_page, load_study, read_results, write_study

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results" / "studies"
PAGE = ROOT / "docs" / "paper.md"
HEAD = """\
# The paper, claim by claim

What *Improving Free Adversarial Training using Scheduling, Augmentations, and Denoising* claims, in
our words, and what a [study](studies.md) of each claim found. `scripts/update_paper.py` writes this
page from the committed results. The paper fine-tunes pretrained networks at 224 px on 200 classes.
The profiles here are smaller: a claim that does not hold on them may hold there.
"""


def found(name: str) -> list[tuple[StudyResults, str]]:
    """Return the committed results of a study, and their folders relative to docs."""
    folders = sorted(RESULTS.glob(f"*/{name}"))
    read = [(read_results(folder), folder) for folder in folders]
    docs = ROOT / "docs"
    return [(r, folder.relative_to(docs).as_posix()) for r, folder in read if r is not None]


def page() -> str:
    """Return the content of docs/paper.md."""
    return f"{HEAD}\n{claims_page([load_study(name) for name in study_names()], found)}\n"


if __name__ == "__main__":
    for name in study_names():
        for results, folder in found(name):
            write_study(load_study(name), results, ROOT / "docs" / folder)
    PAGE.write_text(page(), encoding="utf-8")
