"""YAML in and out: safe loading only, and a duplicate key is an error."""

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from gratis.errors import GratisError, file_error, printable

# No recipe comes near any. Reading 100 kB takes a few seconds at worst; whoever walks through the
# content recurses once a level; larger integers do not fit a tensor.
LARGEST = 100_000
DEEPEST = 50
_INTEGERS, _DIGITS, _SHOWN = 2**63, 100, 500


class _Loader(yaml.SafeLoader):
    """Refuses duplicate keys, aliases, deep nests and huge integers, which plain loaders accept."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        content = super().construct_mapping(node, deep)
        if len(content) < len(node.value):
            keys = Counter(self.construct_object(key, deep=True) for key, _ in node.value)
            twice = ", ".join(sorted(str(key) for key, count in keys.items() if count > 1))
            raise yaml.constructor.ConstructorError(
                None, None, f"duplicate key {twice}", node.start_mark
            )
        return content

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        # Told by its length first: reading n digits takes more than n steps.
        endless = len(node.value) > _DIGITS
        number = 0 if endless else super().construct_yaml_int(node)
        if endless or not -_INTEGERS <= number < _INTEGERS:
            raise yaml.constructor.ConstructorError(
                None, None, "number beyond 64 bits", node.start_mark
            )
        return number

    def compose_node(self, parent: Any, index: Any) -> Any:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not supported", mark)
        if self._depth == DEEPEST:
            raise yaml.composer.ComposerError(None, None, "nested too deeply", mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


class _Dumper(yaml.SafeDumper):
    """Writes what occurs twice in full: the loader refuses aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of keys and values.

    Raises:
        GratisError: the file is missing or is not such YAML; the message names the line.
    """
    content = _parse(str(path), read_text(path))
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise file_error(path, "holds no keys and values")
    return content


def read_text(path: Path) -> str:
    """Return the text of a file of settings.

    Raises:
        GratisError: the file is missing, is not UTF-8, or has more than ``LARGEST`` bytes.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(LARGEST + 1)
        if len(raw) > LARGEST:
            raise file_error(path, f"is too large for settings (more than {LARGEST:,} bytes)")
        return raw.decode()
    except OSError as error:
        raise file_error(path, f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        problem = f"cannot be read (byte {error.start} is not UTF-8)"
        raise file_error(path, problem, "save it as UTF-8 text") from error


def parse_value(source: str, text: str) -> Any:
    """Return what ``text`` means in YAML; ``source`` names it in the error.

    Raises:
        GratisError: it is not YAML.
    """
    return _parse(source, text)


def dump_yaml(content: dict[str, Any]) -> str:
    """Return ``content`` as YAML, keys in their order."""
    text: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text


def _parse(source: str, text: str) -> Any:
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - it is a safe loader, and stricter
    except Exception as error:
        # Explicit tags such as !!bool raise whatever they come across: KeyError, IndexError, ...
        reason = " ".join(str(error).split()).replace('in "<unicode string>",', "at")
        raise GratisError(printable(f"{source}: not YAML: {reason[:_SHOWN]}")) from error
