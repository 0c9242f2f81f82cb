"""Export as the graph of ``torch.export``: one ``.pt2`` file."""

import json
import warnings
from pathlib import Path

import torch

from gratis.errors import file_error
from gratis.exporters.content import Content
from gratis.files import atomic_file

# The name of a file inside the .pt2 file.
FACTS = "facts.json"


def write_torch_export(content: Content, path: Path) -> None:
    """Write a ``.pt2`` file, which ``torch.export.load(path).module()`` reads.

    The batch size is dynamic. ``content.facts`` are inside, as ``facts.json``.
    """
    batch = torch.export.Dim("batch", min=1)
    example = content.example
    with warnings.catch_warnings(), atomic_file(path) as temporary:
        warnings.simplefilter("ignore")
        try:
            program = torch.export.export(
                content.model, (example,), dynamic_shapes={"images": {0: batch}}
            )
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            problem = f"the model cannot be expressed ({reason})"
            raise file_error(path, problem, "choose another kind, such as state-dict") from error
        extra = {FACTS: json.dumps(content.facts, indent=2)}
        torch.export.save(program, temporary, extra_files=extra)
        content.check(torch.export.load(temporary).module(), str(path))
