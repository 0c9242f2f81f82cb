"""Recipes and profiles that are broken, malicious or wrong."""

import pickle
from collections.abc import Callable
from pathlib import Path

from harness import Case, Trap, Workspace

VALID = "title: t\nadversary: natural\nobjective: cross_entropy\n"
LEVELS = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
BOMB = "\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x]", *LEVELS])


def created(title: str, make: Callable[[Workspace, Path], object], *expected: str) -> Case:
    """A recipe file that ``make`` creates."""

    def prepare(workspace: Workspace) -> list[str]:
        make(workspace, workspace.folder / "mine.yaml")
        return ["train", "mine.yaml", "--out", "run"]

    return Case("Recipes", title, prepare, expected)


def text(title: str, content: str | bytes, *expected: str) -> Case:
    """A recipe file with this content."""
    raw = content.encode() if isinstance(content, str) else content
    return created(title, lambda _, path: path.write_bytes(raw), *expected)


def with_keys(title: str, keys: str, *expected: str) -> Case:
    """A valid recipe with more keys."""
    return text(title, VALID + keys, *expected)


def enormous(_: Workspace, path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(100 * 2**30)


def tagged(workspace: Workspace, path: Path) -> None:
    path.write_text(f"{VALID}order: !!python/object/apply:os.mkdir ['{workspace.canary}']\n")


def profile(title: str, content: str, *expected: str) -> Case:
    """A profile with this content."""

    def prepare(workspace: Workspace) -> list[str]:
        (workspace.folder / "sizes.yaml").write_text(content)
        return ["reproduce", "--profile", "sizes.yaml", "--out", "out"]

    return Case("Recipes", title, prepare, expected)


CASES = [
    created("a missing file", lambda _, path: None, "mine.yaml", "no such recipe file"),
    created("an empty file", lambda _, path: path.touch(), "mine.yaml", "holds no keys"),
    created(
        "a folder called mine.yaml", lambda _, path: path.mkdir(), "mine.yaml", "no such recipe"
    ),
    created("a file of 100 GB", enormous, "mine.yaml", "too large"),
    created(
        "a pickle that runs a command",
        lambda workspace, path: path.write_bytes(pickle.dumps(Trap(workspace.canary))),
        *("mine.yaml", "cannot be read"),
    ),
    created("a YAML tag that runs a command", tagged, "mine.yaml", "line 4", "python/object"),
    text(
        "a tab for indentation", "title: t\nmodel:\n\tbackbone: resnet18\n", "mine.yaml", "line 3"
    ),
    text("anchors that explode", BOMB, "mine.yaml", "aliases are not supported"),
    text("an alias of itself", "title: &a [*a]\n", "mine.yaml", "aliases are not supported"),
    text("99,000 brackets", "title: " + "[" * 99_000, "mine.yaml", "nested too deeply"),
    text("bytes that are not UTF-8", b"title: caf\xe9\n", "mine.yaml", "UTF-8"),
    text("UTF-16", VALID.encode("utf-16"), "mine.yaml", "UTF-8"),
    text("a NUL byte", b"title: \x00\n", "mine.yaml", "not YAML"),
    text("two documents", f"{VALID}---\n{VALID}", "mine.yaml", "single document"),
    text("a list", "- title\n- adversary\n", "mine.yaml", "holds no keys and values"),
    text("a duplicate key", VALID + "seed: 1\nseed: 2\n", "mine.yaml", "duplicate key seed"),
    with_keys("an unknown key", "train: {epoch: 3}\n", "train.epoch", "did you mean 'epochs'"),
    with_keys("a word for a number", "train: {epochs: many}\n", "train.epochs", "'many'"),
    with_keys("a boolean for a number", "train: {epochs: yes}\n", "train.epochs", "true"),
    with_keys("a list for keys and values", "model: [resnet18]\n", "model: ", "dictionary"),
    with_keys("1e400", "train: {epochs: 1e400}\n", "train.epochs", "finite"),
    with_keys("infinity", "train: {learning_rate: .inf}\n", "train.learning_rate", "finite"),
    with_keys("NaN", "evaluate: {epsilon: .nan}\n", "evaluate.epsilon", "finite"),
    with_keys("a division by zero", "evaluate: {epsilon: 8/0}\n", "evaluate.epsilon", "'8/0'"),
    with_keys("a number of 5,000 digits", f"seed: {'9' * 5000}\n", "64 bits"),
    with_keys("a hexadecimal number of 90,000 digits", f"seed: 0x{'f' * 90_000}\n", "64 bits"),
    with_keys("a number beyond 64 bits, in quotes", f"seed: '{2**64}'\n", "seed: ", "64 bits"),
    with_keys("an epsilon above 1", "evaluate: {epsilon: 8}\n", "evaluate.epsilon"),
    with_keys("a very long value", f"data: {{name: {'x' * 90_000}}}\n", "data.name"),
    with_keys("an unknown schedule", "train: {learning_rate: {sine: {}}}\n", "'sine'"),
    with_keys(
        "a schedule without a first step", "train: {learning_rate: {steps: {0.5: 1}}}\n", "0"
    ),
    text("two adversaries", VALID.replace("natural", "{free: {}, pgd: {}}"), "free, pgd"),
    with_keys("an unknown backbone", "model: {backbone: resnet81}\n", "resnet81"),
    with_keys("a name that is a path", "name: ../../x\n", "name: ", "plain name"),
    with_keys("a key that clears the screen", '"\\e[2Jseed": 1\n', "\\x1b[2Jseed: unknown key"),
    with_keys("a path with a NUL byte", 'data: {name: folder, root: "a\\0b"}\n', "a\\x00b"),
    with_keys(
        "an unknown home folder", "data: {name: folder, root: ~nobody-here/x}\n", "~nobody-here"
    ),
    profile(
        "a profile with an unknown key", "title: t\nby_recipes: {}\n", "sizes.yaml", "'by_recipe'"
    ),
    profile("a profile with an unknown recipe", "title: t\nleave_out: [fre]\n", "'fre'"),
    profile(
        "a profile that renames a recipe to a path", "title: t\nall: {name: /tmp/x}\n", "name: "
    ),
]
