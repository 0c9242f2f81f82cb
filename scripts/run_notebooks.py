"""Run the notebooks of examples and keep their outputs, which the site shows.

The command, with the names of notebooks or for all::

    uv run python scripts/run_notebooks.py own-loop

It runs them in a folder of its own. Outputs are kept without their times.
"""

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[1] / "examples"


def executed(path: Path, folder: Path, values: Mapping[str, object]) -> nbformat.NotebookNode:
    """Return a notebook after it was run in ``folder``, its parameters replaced by ``values``.

    Raises:
        CellExecutionError: a cell raised an exception.
    """
    notebook: nbformat.NotebookNode = nbformat.read(  # type: ignore[no-untyped-call]
        path, as_version=4
    )
    (parameters,) = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", ()))
    source = parameters.source
    parameters.source += "".join(f"\n{name} = {value!r}" for name, value in values.items())
    NotebookClient(
        notebook,
        timeout=1800,
        # On a machine with other work a kernel takes minutes to import its libraries.
        startup_timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        # One output for all lines that a cell prints, however they arrive.
        coalesce_streams=True,
    ).execute()
    parameters.source = source
    for cell in notebook.cells:
        if "outputs" in cell:
            # Warnings are about the machine, and name its folders.
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
    return notebook


def main(names: list[str]) -> None:
    """Run the notebooks of these names, or all."""
    for path in sorted(EXAMPLES.glob("*.ipynb")):
        if names and path.stem not in names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            done = executed(path, Path(folder), {})
            nbformat.write(done, path)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(sys.argv[1:])
