"""Commands whose arguments are wrong or impossible."""

from collections.abc import Callable

from harness import Case, Workspace


def command(title: str, arguments: list[str], *expected: str) -> Case:
    """A command that needs nothing on disk."""
    return Case("Commands", title, lambda _: arguments, expected)


def override(title: str, change: str, *expected: str) -> Case:
    """An override of a recipe."""
    return command(title, ["train", "free", "--out", "run", change], *expected)


def prepared(title: str, prepare: Callable[[Workspace], list[str]], *expected: str) -> Case:
    """A command that needs something on disk."""
    return Case("Commands", title, prepare, expected)


def below_a_file(workspace: Workspace) -> list[str]:
    (workspace.folder / "file").touch()
    return ["train", "free", "--out", "file/run"]


def a_file(workspace: Workspace) -> list[str]:
    (workspace.folder / "file").touch()
    return ["reproduce", "--out", "file"]


def copy_over(workspace: Workspace) -> list[str]:
    (workspace.folder / "mine.yaml").write_text("mine")
    return ["recipes", "copy", "free", "mine.yaml"]


def copy_broken(workspace: Workspace) -> list[str]:
    (workspace.folder / "mine.yaml").write_bytes(b"title: \xff\n")
    return ["recipes", "copy", "mine.yaml", "new.yaml"]


CASES = [
    command("an unknown recipe", ["train", "fre"], "did you mean 'free'"),
    command("an unknown profile", ["reproduce", "--profile", "digit"], "did you mean 'digits'"),
    command("an unknown recipe to reproduce", ["reproduce", "--only", "fre"], "no recipe 'fre'"),
    command("an unknown data set", ["data", "digit"], "did you mean 'digits'"),
    command("a data folder without a path", ["data", "folder:"], "folder:PATH"),
    command(
        "a data folder below an unknown home", ["data", "folder:~nobody-here/x"], "~nobody-here"
    ),
    command(
        "a data root in an unknown home",
        ["data", "cifar10", "--data-root", "~nobody-here"],
        "~nobody",
    ),
    command("a missing run", ["resume", "nowhere"], "nowhere", "not a run folder"),
    command(
        "an override that no recipe has",
        ["reproduce", "adversary.patch.size=1"],
        "no recipe has this key",
    ),
    override("an unknown key", "train.epoch=3", "did you mean 'epochs'"),
    override("a key without a value", "epochs", "key=value"),
    override("an incomplete key", "train..epochs=1", "key=value"),
    override("a key of 5,000 levels", ".".join("a" * 5000) + "=1", "nested too deeply"),
    override("a value that is not YAML", "train.epochs=[1", "not YAML"),
    override("epsilon below 0", "adversary.free.epsilon=-1", "adversary.free.epsilon"),
    override("no epochs", "train.epochs=0", "train.epochs"),
    override("batches of one image", "train.batch_size=1", "train.batch_size"),
    override("no replays", "adversary.free.replays=0", "adversary.free.replays"),
    override("too many classes", "data.classes=11", "10 classes, not 11"),
    override("too large a model for the memory", f"model.head.width={10**15}", "out of memory"),
    prepared("an output folder below a file", below_a_file, "file/run", "cannot be written"),
    prepared("an output folder that is a file", a_file, "file", "cannot be written"),
    prepared("a copy over an existing file", copy_over, "mine.yaml", "exists already"),
    prepared("a copy of a file that is not text", copy_broken, "mine.yaml", "UTF-8"),
]
