"""TensorBoard: event files in the folder ``tensorboard`` of the run. Nothing is sent anywhere."""

import time
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.text.plugin_data_pb2 import TextPluginData
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from gratis.loggers.base import LoggedRun, Logger
from gratis.loggers.lines import Entry

# Not torch's writer: to import torch takes seconds and much memory.


class TensorBoard(Logger):
    """A run as event files."""

    @classmethod
    def target(cls, folder: Path) -> str:
        """Return where the event files are, relative to the run, which may be moved."""
        return "tensorboard"

    def __init__(self, run: LoggedRun, target: str, resumed: str | None) -> None:
        """Open a new event file beside those of earlier processes."""
        self.run = run.folder.name
        self.where = f"look at the run with: tensorboard --logdir {run.folder.parent}"
        self._writer = EventFileWriter(str(run.folder / target))
        if resumed is None:
            self._add(0, _text("recipe", run.recipe_text))

    def scalars(self, entries: Sequence[Entry]) -> None:
        """Write the values of several steps."""
        for step, values in entries:
            self._add(step, *(Summary.Value(tag=t, simple_value=v) for t, v in values.items()))
        self._writer.flush()

    def picture(self, name: str, pixels: NDArray[np.uint8], step: int, caption: str) -> None:
        """Write an image with its caption."""
        height, width, colours = pixels.shape
        file = BytesIO()
        Image.fromarray(pixels).save(file, "png")
        image = Summary.Image(
            height=height, width=width, colorspace=colours, encoded_image_string=file.getvalue()
        )
        about = SummaryMetadata(summary_description=caption)
        self._add(step, Summary.Value(tag=name, image=image, metadata=about))
        self._writer.flush()

    def rolled_back(self, step: int) -> None:
        """Tell TensorBoard to drop what it has seen after ``step``."""
        log = SessionLog(status=SessionLog.START)
        self._writer.add_event(Event(wall_time=time.time(), step=step + 1, session_log=log))

    def close(self, complete: bool) -> None:
        """Close the file."""
        self._writer.close()

    def _add(self, step: int, *values: Summary.Value) -> None:
        summary = Summary(value=values)
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))


def _text(name: str, text: str) -> Summary.Value:
    """Return a text that keeps its lines: TensorBoard reads it as Markdown."""
    code = "".join(f"    {line}\n" for line in text.splitlines())
    tensor = TensorProto(
        dtype=DT_STRING,
        string_val=[code.encode()],
        tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]),
    )
    plugin = SummaryMetadata.PluginData(
        plugin_name="text", content=TextPluginData(version=0).SerializeToString()
    )
    return Summary.Value(tag=name, tensor=tensor, metadata=SummaryMetadata(plugin_data=plugin))
