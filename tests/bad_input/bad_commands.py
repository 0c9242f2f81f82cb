"""Commands that ask for what there is not, or what cannot be."""

from collections.abc import Callable

from offer import Case, Place


def command(offered: str, arguments: list[str], *says: str) -> Case:
    """Plain arguments."""
    return Case("Commands", offered, lambda _: arguments, says)


def override(offered: str, change: str, *says: str) -> Case:
    """A change to a recipe."""
    return command(offered, ["train", "free", "--out", "run", change], *says)


def prepared(offered: str, prepare: Callable[[Place], list[str]], *says: str) -> Case:
    """Arguments that need something on disk."""
    return Case("Commands", offered, prepare, says)


def below_a_file(place: Place) -> list[str]:
    (place.folder / "file").touch()
    return ["train", "free", "--out", "file/run"]


def a_file(place: Place) -> list[str]:
    (place.folder / "file").touch()
    return ["reproduce", "--out", "file"]


def copy_over(place: Place) -> list[str]:
    (place.folder / "mine.yaml").write_text("mine")
    return ["recipes", "copy", "free", "mine.yaml"]


def copy_broken(place: Place) -> list[str]:
    (place.folder / "mine.yaml").write_bytes(b"title: \xff\n")
    return ["recipes", "copy", "mine.yaml", "new.yaml"]


CASES = [
    command("an unknown recipe", ["train", "fre"], "did you mean 'free'"),
    command("an unknown profile", ["reproduce", "--profile", "digit"], "did you mean 'digits'"),
    command("an unknown row", ["reproduce", "--only", "fre"], "no row 'fre'"),
    command("an unknown data set", ["data", "digit"], "did you mean 'digits'"),
    command("a data folder without a path", ["data", "folder:"], "folder:PATH"),
    command("a data folder of nobody", ["data", "folder:~nobody-here/x"], "~nobody-here"),
    command("a data root of nobody", ["data", "cifar10", "--data-root", "~nobody-here"], "~nobody"),
    command("a run that is not there", ["resume", "nowhere"], "nowhere", "not a run folder"),
    command(
        "a change that no row has", ["reproduce", "adversary.patch.size=1"], "no row has this key"
    ),
    override("an unknown key", "train.epoch=3", "did you mean 'epochs'"),
    override("a key without a value", "epochs", "key=value"),
    override("half a key", "train..epochs=1", "key=value"),
    override("a key of 5,000 parts", ".".join("a" * 5000) + "=1", "nested too deeply"),
    override("a value that is no YAML", "train.epochs=[1", "not YAML"),
    override("epsilon below 0", "adversary.free.epsilon=-1", "adversary.free.epsilon"),
    override("no epochs", "train.epochs=0", "train.epochs"),
    override("batches of one image", "train.batch_size=1", "train.batch_size"),
    override("no replays", "adversary.free.replays=0", "adversary.free.replays"),
    override("more classes than there are", "data.classes=11", "10 classes, not 11"),
    override("more memory than there is", f"model.head.width={10**15}", "out of memory"),
    prepared("an output folder below a file", below_a_file, "file/run", "cannot be written"),
    prepared("an output folder that is a file", a_file, "file", "cannot be written"),
    prepared("a copy over a file", copy_over, "mine.yaml", "exists already"),
    prepared("a copy of a file that is no text", copy_broken, "mine.yaml", "UTF-8"),
]
