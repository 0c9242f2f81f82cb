"""YAML in and out: safe loading only, and a duplicate key is an error."""

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from gratis.errors import GratisError, file_error

# No recipe comes near either. Whoever walks through the content recurses once a level.
LARGEST = 1_000_000
DEEPEST = 50


class _Loader(yaml.SafeLoader):
    """Refuses duplicate keys, which plain YAML loaders let win silently, aliases and deep nests."""

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


class _Dumper(yaml.SafeDumper):
    """Writes what occurs twice in full: the loader refuses aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of keys and values.

    Raises:
        GratisError: the file is missing or is not such YAML; the message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise file_error(path, f"cannot be read ({error})") from error
    if len(text) > LARGEST:
        raise file_error(path, f"is too large for a settings file ({len(text)} characters)")
    content = _parse(str(path), text)
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise file_error(path, "holds no keys and values")
    return content


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
        return yaml.load(text, _Loader)
    except Exception as error:
        # Explicit tags such as !!bool raise whatever they come across: KeyError, IndexError, ...
        reason = " ".join(str(error).split())
        raise GratisError(f"{source}: not YAML: {reason}") from error
