"""Which perturbed sets a run is measured on."""

import os
from pathlib import Path

from gratis.digests import file_digest
from gratis.errors import file_error
from gratis.json_files import read_json, write_json
from gratis.validation_sets.manifest import MANIFEST


class SetsReference:
    """The file ``sets.json`` in the folder of a run.

    It has the place of the sets, also relative to the run, because both may move together, and the
    digest of the sets that the run's results were measured on.
    """

    def __init__(self, run: Path) -> None:
        """Name the file in the folder ``run``; nothing is touched yet."""
        self._run, self._file = run, run / "sets.json"

    def write(self, sets: Path) -> None:
        """Remember that the run is measured on ``sets``."""
        if self.noted() != sets.absolute():
            write_json(self._file, self._places(sets))

    def write_measured(self, sets: Path) -> None:
        """Remember that the results are those on ``sets`` as they are now."""
        write_json(self._file, self._places(sets) | {"measured": file_digest(sets / MANIFEST)})

    def measured_on(self, sets: Path) -> bool:
        """Return whether the results are those on ``sets`` as they are now."""
        manifest = sets / MANIFEST
        return manifest.is_file() and self._value("measured") == file_digest(manifest)

    def sets(self) -> Path | None:
        """Return the folder of perturbed sets that the run is measured on, if it has one."""
        found = self.noted()
        if found is not None and not found.is_dir():
            raise file_error(found, "the run's perturbed sets are gone", "name others with --sets")
        return found

    def noted(self) -> Path | None:
        """Return where the run's perturbed sets are or were; ``None`` if it has none."""
        absolute, relative = self._value("sets"), self._value("relative")
        if absolute is None or relative is None:
            return None if absolute is None else Path(absolute)
        # Those beside the run are its own, also where others lie at the place of before.
        beside = Path(os.path.abspath(self._run.resolve() / relative))
        return beside if (beside / MANIFEST).is_file() else Path(absolute)

    def _places(self, sets: Path) -> dict[str, str]:
        relative = os.path.relpath(sets.resolve(), self._run.resolve())
        return {"sets": str(sets.absolute()), "relative": relative}

    def _value(self, key: str) -> str | None:
        if not self._file.exists():
            return None
        note = read_json(self._file)
        value = note.get(key) if isinstance(note, dict) else 0
        if not isinstance(value, str | None):
            raise file_error(self._file, "is damaged", "delete it")
        return value
