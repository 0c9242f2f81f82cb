"""The code that the documentation shows: blocks and spans of every page, with their marks."""

import importlib.util
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs" / "reference").glob("*.md"),
        *(ROOT / "docs" / "results").glob("*.md"),
    ]
)
# The settings of training and evaluation under which a command takes about a second.
TINY = ["train.epochs=0.2", "evaluate.images=8", "evaluate.pgd_steps=1"]
# A network of timm's own tests, in the place of resnet18.
NETWORK = "test_resnet"
# A block, with the mark above it. In a list it is indented.
BLOCK = re.compile(
    r"(?:^ *<!-- not run: (?P<reason>[^\n]+) -->\n\n?)?"
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
SPAN = re.compile(r"`(?:uv run )?(gratis [a-z][^`]*)`")


@dataclass(frozen=True)
class Block:
    """A block of code; ``reason`` says why it is not run, if it is not."""

    line: int
    language: str
    text: str
    reason: str | None

    def commands(self) -> list[list[str]]:
        """Return the words of every command of a block for the shell; of other blocks, none."""
        if self.language != "sh":
            return []
        lines = self.text.replace("\\\n", " ").splitlines()
        words = (shlex.split(line, comments=True) for line in lines)
        return [_without_uv(line) for line in words if line]


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            line=text.count("\n", 0, match.start()) + 1,
            language=match["language"],
            text=re.sub(f"^{match['indent']}", "", match["text"], flags=re.MULTILINE),
            reason=match["reason"],
        )
        for match in BLOCK.finditer(text)
    ]


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return BLOCK.sub("", page.read_text(encoding="utf-8"))


def spans(page: Path) -> list[list[str]]:
    """Return the words of every gratis command in the running text of a page."""
    return [shlex.split(span, comments=True) for span in SPAN.findall(prose(page))]


def script(name: str) -> ModuleType:
    """Import a module of the folder of scripts."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _without_uv(words: list[str]) -> list[str]:
    return words[2:] if words[:2] == ["uv", "run"] and words[2:3] != ["--group"] else words
