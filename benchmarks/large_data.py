"""Measures how a large data set is read: as class folders, webdataset shards and a Parquet table.

    uv run python -m benchmarks.large_data FOLDER --images 200000 --classes 1000 --json FILE

Writes that many JPEGs of 32 pixels below FOLDER, in each of the three forms; some hundreds of
different ones are repeated. Then every form is loaded twice, each time in a new process: the first
call decodes the images, the second finds them in the cache. The columns:

- ``listed``: seconds until the images and their classes are known;
- ``decoded``: images a second and core, from the processes that decode them;
- ``first batch``: seconds until there is a batch to train on, with the imports and, at the first
  call, without the time of those processes;
- ``memory``: the largest amount of private memory (``RssAnon``, sampled every 20 ms) of the
  process, above that after the imports, in MiB;
- ``data set``: the beginning of its fingerprint, a digest of every pixel and label in their order.

Seconds are those of the CPU, which other processes on the machine do not change.
"""

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image

from benchmarks.tables import table
from gratis.json_files import write_json

_DIFFERENT, _SIZE, _SHARD = 397, 32, 10_000
_COLUMNS = ["source", "call", "listed", "decoded", "first batch", "memory", "data set"]


def main() -> None:
    """Write the data, and measure every form."""
    parser = argparse.ArgumentParser(prog="benchmarks.large_data", description=__doc__)
    parser.add_argument("folder", type=Path, help="a new folder for the data and the cache")
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--classes", type=int, default=1_000)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--load", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.load:
        print(json.dumps(_load(*given.load)))
        return
    roots = _write(given.folder, given.images, given.classes)
    turns = [(call, *each) for each in roots.items() for call in ("first", "second")]
    rows = table(_COLUMNS, (_line(given.folder, *turn) for turn in turns))
    if given.json:
        write_json(given.json, rows)


def _line(folder: Path, call: str, name: str, root: str) -> str:
    """Return a line of the table."""
    figures = _measured(folder, name, root) | {"call": call}
    if call == "second":
        figures["decoded"] = ""
    return f"| {' | '.join(str(figures[column]) for column in _COLUMNS)} |"


def _write(folder: Path, count: int, classes: int) -> dict[str, str]:
    """Write the data in the three forms; return what names each."""
    import datasets

    draw, encodings = np.random.default_rng(0), []
    for _ in range(_DIFFERENT):
        stream = io.BytesIO()
        small = Image.fromarray(draw.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        small.resize((_SIZE, _SIZE), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
        encodings.append(stream.getvalue())
    names = [f"n{label:04}" for label in range(classes)]
    for name in names:
        (folder / "folder" / name).mkdir(parents=True)
    (folder / "wds").mkdir()
    (folder / "hf").mkdir()
    order = draw.permutation(count)
    for shard, start in enumerate(range(0, count, _SHARD)):
        rows = [
            (k % classes, f"n{k % classes:04}_{k // classes:05}", encodings[k % _DIFFERENT])
            for k in order[start : start + _SHARD].tolist()
        ]
        for label, stem, content in rows:
            (folder / "folder" / names[label] / f"{stem}.jpg").write_bytes(content)
        with tarfile.open(folder / "wds" / f"part-{shard:04}.tar", "w") as archive:
            for label, stem, content in rows:
                for ending, text in (("jpg", content), ("cls", names[label].encode())):
                    member = tarfile.TarInfo(f"{stem}.{ending}")
                    member.size = len(text)
                    archive.addfile(member, io.BytesIO(text))
        kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=names)}
        columns = {
            "image": [{"bytes": content, "path": f"{stem}.jpg"} for _, stem, content in rows],
            "label": [label for label, _, _ in rows],
        }
        part = datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))
        part.to_parquet(folder / "hf" / f"train-{shard:05}.parquet")
    pattern = str(folder / "wds" / "*.tar")
    return {"folder": str(folder / "folder"), "wds": pattern, "hf": str(folder / "hf")}


def _measured(folder: Path, name: str, root: str) -> dict[str, Any]:
    """Load the data in a new process; return the figures."""
    places = {"GRATIS_CACHE": str(folder / "cache"), "HF_HOME": str(folder / "huggingface")}
    command = [sys.executable, "-m", "benchmarks.large_data", str(folder), "--load", name, root]
    with subprocess.Popen(
        command, env=os.environ | places, stdout=subprocess.PIPE, text=True
    ) as process:
        most = max(_private_bytes(process), default=0)
        assert process.stdout is not None
        figures: dict[str, Any] = json.loads(process.stdout.read().splitlines()[-1])
    figures["memory"] = round((most - figures.pop("imported")) / 2**20)
    return figures


def _private_bytes(process: "subprocess.Popen[str]") -> Iterator[int]:
    """Yield the private memory of a process until it ends."""
    while process.poll() is None:
        yield _anonymous(process.pid)
        time.sleep(0.02)


def _anonymous(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def _load(name: str, root: str) -> dict[str, Any]:
    """Load the data in this process; return the figures."""
    from gratis.data import Batches, DataSettings, hold_out, load
    from gratis.data.store import decode_once

    imported, imports = _anonymous(os.getpid()), time.process_time()
    listed = [0.0]

    def timed(raw: Any) -> Any:
        listed[0] = time.process_time() - imports
        return decode_once(raw)

    with patch("gratis.data.own_images.decode_once", timed):
        dataset = load(DataSettings(name=name, root=Path(root), size=_SIZE))
    training, _ = hold_out(dataset.train)
    assert len(Batches(dataset.train, training, 128, seed=0, device="cpu")[0]) > 0
    workers = resource.getrusage(resource.RUSAGE_CHILDREN)
    decoding = workers.ru_utime + workers.ru_stime
    count = len(dataset.train) + len(dataset.validation)
    return {
        "source": name,
        "listed": round(listed[0], 1),
        "decoded": round(count / max(decoding, 0.01)),
        "first batch": round(time.process_time(), 1),
        "imported": imported,
        "data set": dataset.fingerprint[:8],
    }


if __name__ == "__main__":
    main()
