"""Docstrings in Markdown: an extension of griffe, for the page of the Python API."""

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|mod|attr):(?=`)")
BLOCK = re.compile(r"::$", re.MULTILINE)


class Markdown(griffe.Extension):
    """Removes what only Sphinx reads: the roles of names, and the second colon before a block."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of an object that was loaded."""
        if obj.docstring is not None:
            obj.docstring.value = BLOCK.sub(":", ROLE.sub("", obj.docstring.value))
