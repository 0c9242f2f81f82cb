import pytest

from gratis.errors import GratisError
from gratis.recipe import resolve


@pytest.fixture
def own(tmp_path):
    """Write a YAML file of the user's own, and return its path as a recipe's or profile's name."""

    def write(text, name="mine.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def refused():
    """Return the message with which ``resolve`` refuses its arguments."""

    def message(name, profile=None, overrides=()):
        with pytest.raises(GratisError) as caught:
            resolve(name, profile, overrides)
        return str(caught.value)

    return message
