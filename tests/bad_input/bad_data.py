"""Images, folders, archives and binaries that are missing, broken or malicious."""

import io
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from harness import Case, Workspace
from PIL import Image

WNIDS = ("n01", "n02")
ZIP, TAR = "tiny-imagenet-200.zip", "cifar-10-binary.tar.gz"


def encoded(kind: str = "PNG", size: int = 16) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def put(path: Path, content: bytes | str = b"") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def png_of(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes whose header claims this many pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checked = name + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def pets(folder: Path) -> Path:
    """Create a folder of images: two classes, each with a training and a validation image."""
    for part in ("train", "val"):
        for name in ("cat", "dog"):
            put(folder / part / name / "a.png", encoded())
    return folder


def tiny(folder: Path) -> Path:
    """Create Tiny ImageNet's layout with two classes."""
    lines = []
    for number, wnid in enumerate(WNIDS):
        put(folder / "train" / wnid / "images" / f"{wnid}_0.JPEG", encoded("JPEG"))
        put(folder / "val" / "images" / f"val_{number}.JPEG", encoded("JPEG"))
        lines.append(f"val_{number}.JPEG\t{wnid}\t0\t0\t63\t63\n")
    put(folder / "val" / "val_annotations.txt", "".join(lines))
    put(folder / "wnids.txt", "\n".join(WNIDS))
    return folder


def cifar(folder: Path) -> Path:
    """Create CIFAR-10's layout with two images per file."""
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    for name in names:
        put(folder / name, b"".join(bytes([label]) + bytes(3072) for label in (0, 1)))
    put(folder / "batches.meta.txt", "\n".join(f"class{number}" for number in range(10)))
    return folder


def image(title: str, content: bytes, *expected: str, name: str = "b.png") -> Case:
    """A folder of images that includes this one."""

    def prepare(workspace: Workspace) -> list[str]:
        put(pets(workspace.folder / "pets") / "train" / "cat" / name, content)
        return ["data", "folder:pets"]

    return Case("Images", title, prepare, (name, *expected))


def root(
    name: str, title: str, make: Callable[[Path], object], *expected: str, section: str
) -> Case:
    """The data set ``name`` with the root that ``make`` creates."""

    def prepare(workspace: Workspace) -> list[str]:
        make(workspace.folder / "root")
        return ["data", name, "--data-root", "root"]

    return Case(section, title, prepare, expected)


def data(
    title: str, source: Callable[[Path], Path], damage: Callable[[Path], object], *expected: str
) -> Case:
    """A data set that ``source`` creates and ``damage`` damages."""
    name = {pets: "folder", tiny: "tiny-imagenet", cifar: "cifar10"}[source]
    section = "Data folders"
    return root(name, title, lambda path: damage(source(path)), *expected, section=section)


def wrong_root(title: str, make: Callable[[Path], object], *expected: str) -> Case:
    """A root that is not a data set."""
    return root("tiny-imagenet", title, make, "root", *expected, section="Data folders")


def archive(title: str, make: Callable[[Path], object], *expected: str, name: str = ZIP) -> Case:
    """A root that holds an archive."""

    def in_a_folder(folder: Path) -> None:
        folder.mkdir()
        make(folder / name)

    source = "cifar10" if name == TAR else "tiny-imagenet"
    return root(source, title, in_a_folder, name, *expected, section="Archives")


def zipped(*members: tuple[str, bytes], mode: int = 0) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as content:
            for name, body in members:
                info = zipfile.ZipInfo(name)
                info.external_attr = mode << 16
                content.writestr(info, body)

    return make


def tarred(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Callable[[Path], None]:
    def make(path: Path) -> None:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, link
        with tarfile.open(path, "w:gz") as content:
            content.addfile(member)

    return make


def damaged(path: Path) -> None:
    zipped(("tiny-imagenet-200/wnids.txt", b"n01 n02"))(path)
    path.write_bytes(path.read_bytes().replace(b"n01 n02", b"n01 n03"))


def cut(path: Path) -> None:
    zipped(("tiny-imagenet-200/wnids.txt", bytes(5000)))(path)
    path.write_bytes(path.read_bytes()[:2000])


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


VAL = Path("val/val_annotations.txt")
IMAGE = "val/images/val_0.JPEG"
CASES = [
    image("zero bytes", b"", "is empty"),
    image("a truncated PNG", encoded()[:200]),
    image("a truncated JPEG", encoded("JPEG")[:300], name="b.jpg"),
    image("text called .JPEG", b"not an image", name="b.JPEG"),
    image("a few bytes that claim 30,000 x 30,000 pixels", png_of(30_000, 30_000)),
    image("a truncated TIFF", encoded("TIFF")[:100], name="b.tif"),
    data("a name with a line break", pets, lambda r: put(r / "val/cat/b\n.png"), "b\\n.png"),
    wrong_root("a missing root", lambda _: None, "point --data-root to"),
    wrong_root("an empty root", Path.mkdir, "point --data-root to"),
    wrong_root("a file as root", Path.touch, "is a file"),
    data(
        "one image per class and no val", pets, lambda r: (r / "val").rename(r / "x"), "train/cat"
    ),
    data("a folder without train", pets, lambda r: (r / "train").rename(r / "x"), "root/train"),
    data("an empty class", pets, lambda r: (r / "val/cat/a.png").unlink(), "val/cat", "no images"),
    data(
        "different classes in train and val",
        pets,
        lambda r: (r / "val/cow").mkdir(),
        "cow (only in val)",
    ),
    data("a broken annotation", tiny, lambda r: append(r / VAL, "x\n"), str(VAL), "line 3"),
    data("no annotations", tiny, lambda r: (r / VAL).unlink(), str(VAL)),
    data(
        "an annotation without an image", tiny, lambda r: append(r / VAL, "x.JPEG\tn01\n"), "x.JPEG"
    ),
    data(
        "an image without an annotation",
        tiny,
        lambda r: put(r / VAL, "val_0.JPEG\tn01\n"),
        str(VAL),
    ),
    data("a missing image", tiny, lambda r: (r / IMAGE).unlink(), "val_0.JPEG"),
    data("an image of zero bytes", tiny, lambda r: put(r / IMAGE), "val_0.JPEG", "empty"),
    data("a class without images", tiny, lambda r: append(r / "wnids.txt", "\nn03"), "n03"),
    data("class names that are not UTF-8", tiny, lambda r: put(r / "wnids.txt", b"\xff"), "wnids"),
    data(
        "a label out of range",
        cifar,
        lambda r: put(r / "data_batch_3.bin", bytes([10]) + bytes(3072)),
        "data_batch_3.bin",
    ),
    data(
        "a truncated binary",
        cifar,
        lambda r: put(r / "test_batch.bin", bytes(3000)),
        "test_batch.bin",
    ),
    data(
        "a missing binary", cifar, lambda r: (r / "data_batch_2.bin").unlink(), "data_batch_2.bin"
    ),
    data(
        "too few class names", cifar, lambda r: put(r / "batches.meta.txt", "cat"), "batches.meta"
    ),
    archive("text called .zip", lambda path: path.write_text("not an archive")),
    archive("a zip that is cut", cut),
    archive("a zip with a changed byte", damaged),
    archive("a zip member above its folder", zipped(("tiny-imagenet-200/../../evil", b"evil"))),
    archive("a zip member with an absolute path", zipped(("/evil", b"evil"))),
    archive("a link in a zip", zipped(("link", b"/etc/passwd"), mode=stat.S_IFLNK | 0o777), "link"),
    archive("a zip of something else", zipped(("cats.txt", b"cats")), "wnids.txt"),
    archive("text called .tar.gz", lambda path: path.write_text("not an archive"), name=TAR),
    archive("a tar member above its folder", tarred("../evil"), name=TAR),
    archive("a link in a tar", tarred("x", tarfile.SYMTYPE, "/etc/passwd"), "link", name=TAR),
    archive("a hard link in a tar", tarred("x", tarfile.LNKTYPE, "/etc/passwd"), "link", name=TAR),
    archive("a device in a tar", tarred("x", tarfile.CHRTYPE), "device", name=TAR),
]
