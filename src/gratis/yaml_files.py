"""Strict and safe YAML: no tags, aliases, duplicate keys, deep nests or huge integers."""

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from gratis.errors import GratisError, file_error, printable
from gratis.regular_files import open_regular

# Far above any recipe. Reading 100 kB takes a few seconds at worst; functions that walk through the
# content recurse once per level; larger integers do not fit into a tensor.
LARGEST = 100_000
DEEPEST = 50
_INTEGERS, _DIGITS, _SHOWN = 2**63, 100, 500


class _Loader(yaml.SafeLoader):
    """A safe loader that also refuses duplicate keys, aliases, deep nests and huge integers."""

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
        # Its length is checked first, since parsing n digits takes more than n steps.
        too_long = len(node.value) > _DIGITS
        number = 0 if too_long else super().construct_yaml_int(node)
        if too_long or not -_INTEGERS <= number < _INTEGERS:
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
    """A dumper without aliases, which the loader refuses."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the keys and values of a YAML file."""
    content = parse_value(str(path), read_text(path))
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise file_error(path, "holds no keys and values")
    return content


def read_text(path: Path) -> str:
    """Return the text of a settings file."""
    try:
        with open_regular(path) as stream:
            raw = stream.read(LARGEST + 1)
        if len(raw) > LARGEST:
            raise file_error(path, f"is too large for settings (more than {LARGEST:,} bytes)")
        return raw.decode()
    except OSError as error:
        raise file_error(path, f"cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        problem = f"cannot be read (byte {error.start} is not UTF-8)"
        raise file_error(path, problem, "save it as UTF-8 text") from error


def parse_value(source: str, text: str) -> Any:
    """Return the value of a YAML text; ``source`` names the text in error messages."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a subclass of the safe loader
    except Exception as error:
        # Explicit tags such as !!bool raise KeyError, IndexError and others.
        reason = " ".join(str(error).split()).replace('in "<unicode string>",', "at")
        raise GratisError(printable(f"{source}: not YAML: {reason[:_SHOWN]}")) from error


def dump_yaml(content: dict[str, Any]) -> str:
    """Return ``content`` as YAML, with the keys in their order."""
    text: str = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text
