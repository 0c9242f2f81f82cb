"""YAML in and out: safe loading only, and a duplicate key is an error."""

from pathlib import Path
from typing import Any

import yaml

from gratis.errors import GratisError, file_error

# No recipe comes near; an alias bomb has to start from something this small.
LARGEST = 1_000_000


class _Loader(yaml.SafeLoader):
    """Refuses duplicate keys, which plain YAML loaders let win silently, and aliases."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {str(key) for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"duplicate key {', '.join(sorted(twice))}", node.start_mark
            )
        return super().construct_mapping(node, deep)

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(
                None,
                None,
                "aliases are not supported",
                self.peek_event().start_mark,  # type: ignore[no-untyped-call]
            )
        return super().compose_node(parent, index)


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
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def _parse(source: str, text: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split()) or "nested too deeply"
        raise GratisError(f"{source}: not YAML: {reason}") from error
