"""Data: images as uint8 arrays, decoded once, and the batches that training draws from them.

::

    dataset = load(DataSettings(name="digits"))
    training, held_out = hold_out(dataset.train)
    batches = Batches(dataset.train, training, batch_size=128, seed=0, device="cpu")
    batch = batches[0]

A data source is one module of this folder with a ``SOURCES`` table of its names and readers.
"""

from gratis.data.batch import Batch
from gratis.data.batches import Batches, to_float
from gratis.data.dataset import Dataset, Split
from gratis.data.held_out import hold_out
from gratis.data.pictures import read_picture
from gratis.data.source import DataSettings, from_argument, load, sources

__all__ = [
    "Batch",
    "Batches",
    "DataSettings",
    "Dataset",
    "Split",
    "from_argument",
    "hold_out",
    "load",
    "read_picture",
    "sources",
    "to_float",
]
