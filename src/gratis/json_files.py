"""JSON files: written atomically, read within limits."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gratis.errors import file_error
from gratis.files import write_text
from gratis.regular_files import read_limited

# Far above any file of gratis.
_LARGEST, _DEEPEST = 16 * 2**20, 50


def write_json(path: Path, content: object) -> None:
    """Write ``content`` to ``path`` atomically, as indented JSON."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path, remedy: str = "delete this file and run again") -> Any:
    """Return the content of a JSON file; if it is damaged, the message ends with ``remedy``."""
    try:
        content = json.loads(read_limited(path, _LARGEST))
        if _depth(content) > _DEEPEST:
            raise ValueError("nested too deeply")
        return content
    except FileNotFoundError as error:
        raise file_error(path, "does not exist") from error
    except PermissionError as error:
        raise file_error(path, f"cannot be read ({error.strerror})", "make it readable") from error
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise file_error(path, f"is not readable JSON ({reason})", remedy) from error


def _depth(content: object) -> int:
    """Return how deeply JSON is nested, or one level more than is accepted."""
    level, depth = [content], 0
    while depth <= _DEEPEST:
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            break
        depth += 1
    return depth


def _inside(content: object) -> Iterable[object]:
    if isinstance(content, dict):
        return content.values()
    return content if isinstance(content, list) else ()
