"""The paper, claim by claim: what it says, how it was tested, and the conclusion."""

from collections.abc import Callable, Sequence

from gratis.report import plain
from gratis.study.conclusion import conclude
from gratis.study.outcome import StudyResults
from gratis.study.settings import Study

# Results of a study and the folder of its figure, relative to the page.
Found = tuple[StudyResults, str]


def claims_page(studies: Sequence[Study], found: Callable[[str], Sequence[Found]]) -> str:
    """Return the sections of the page, one for each claim of each study."""
    return "\n\n".join(_section(study, found(study.name)) for study in studies if study.claims)


def _section(study: Study, found: Sequence[Found]) -> str:
    lines = [f"## {plain(study.title)}"]
    lines += [f"Command: `gratis study {study.name} --profile PROFILE --data-root DIR`"]
    for claim in study.claims:
        lines.append(f"> {plain(claim.paper)}")
        conclusions = [
            _conclusion(results, conclude(claim, study, results)) for results, _ in found
        ]
        lines += conclusions or ["**Not measured yet.**"]
        lines += [plain(claim.note)] if claim.note else []
    lines += [f"[![{study.title}]({folder}/figure.png)]({folder}/study.md)" for _, folder in found]
    return "\n\n".join(lines)


def _conclusion(results: StudyResults, conclusion: tuple[str, str]) -> str:
    word, sentence = conclusion
    measured = f"{results.header} {results.seeds} seed{'s' if results.seeds > 1 else ''}."
    text = f"**{word.capitalize()}** on `{results.profile}`"
    return f"{text}: {plain(sentence)}. ({plain(measured)})" if sentence else f"{text}."
