"""Data sets: images decoded once into uint8 arrays, and the batches to train on.

::

    dataset = load(DataSettings(name="digits"))
    training, held_out = hold_out(dataset.train)
    batches = Batches(dataset.train, training, batch_size=128, seed=0, device="cpu")
    batch = batches[0]

A data source is a module of this folder with a dictionary ``SOURCES`` of names and readers.
"""

from gratis.data.batch import Batch
from gratis.data.batches import Batches, to_float
from gratis.data.dataset import Dataset, Split
from gratis.data.held_out import hold_out
from gratis.data.images import Preparation, read_image
from gratis.data.source import OWN_IMAGES, DataSettings, from_argument, load, sources

__all__ = [
    "OWN_IMAGES",
    "Batch",
    "Batches",
    "DataSettings",
    "Dataset",
    "Preparation",
    "Split",
    "from_argument",
    "hold_out",
    "load",
    "read_image",
    "sources",
    "to_float",
]
