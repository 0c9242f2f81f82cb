"""What a run keeps of its data set, so that its model can be used without the images."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field

from gratis.data.dataset import Dataset
from gratis.errors import printable
from gratis.json_files import read_json, write_json
from gratis.settings import Line, Settings, validate


class DataInfo(Settings):
    """Facts about a data set: classes in the order of the model's outputs, numbers of images."""

    name: Line
    classes: Annotated[tuple[Line, ...], Field(min_length=2)]
    size: Annotated[int, Field(gt=0)]  # height and width of every image, in pixels
    flippable: bool  # a mirrored image keeps its class
    train_images: Annotated[int, Field(gt=0)]
    validation_images: Annotated[int, Field(gt=0)]
    fingerprint: str  # a hash of every pixel and label

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Return the facts about ``dataset``."""
        return cls(
            name=dataset.name,
            classes=tuple(map(printable, dataset.classes)),
            size=dataset.size,
            flippable=dataset.flippable,
            train_images=len(dataset.train),
            validation_images=len(dataset.validation),
            fingerprint=dataset.fingerprint,
        )

    def identity(self) -> dict[str, str]:
        """Return what may not change while a run trains, by dotted path."""
        return {
            "dataset.classes": str(len(self.classes)),
            "dataset.train_images": str(self.train_images),
            "dataset.validation_images": str(self.validation_images),
            "dataset.pixels": self.fingerprint,
        }

    def write(self, path: Path) -> None:
        """Write the facts as JSON, all or nothing."""
        write_json(path, self.model_dump(mode="json"))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what :meth:`write` wrote."""
        return validate(cls, read_json(path), str(path))
