import numpy as np
import pytest
from safetensors.numpy import save

from gratis.errors import GratisError
from gratis.results.measurement import Measurement

INDEX, RIGHT = np.arange(4), np.array([True, False, True, True])


def test_what_was_saved_is_loaded(tmp_path):
    Measurement(INDEX, {"clean": RIGHT, "pgd": ~RIGHT}).save(tmp_path / "x.safetensors")
    found = Measurement.load(tmp_path / "x.safetensors")
    np.testing.assert_array_equal(found.index, INDEX)
    np.testing.assert_array_equal(found.correct["pgd"], ~RIGHT)
    assert found.accuracies["clean"] == 0.75 and found.accuracies["fgsm"] is None


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"clean": RIGHT},
        {"index": INDEX, "clean": RIGHT[:3]},
        {"index": INDEX, "clean": RIGHT.astype(np.float32)},
        {"index": INDEX.astype(np.float32), "clean": RIGHT},
        {"index": INDEX[:0], "clean": RIGHT[:0]},
        {"index": np.array(3), "clean": np.array(True)},
        {"index": INDEX[:, None], "clean": RIGHT[:, None]},
    ],
)
def test_other_arrays_are_refused(tmp_path, arrays):
    path = tmp_path / "x.safetensors"
    path.write_bytes(save(arrays))
    with pytest.raises(GratisError, match=r"x\.safetensors: is not a measurement.*; evaluate"):
        Measurement.load(path)


def test_types_that_numpy_lacks_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(save({"index": INDEX, "clean": RIGHT}).replace(b'"I64"', b'"I6X"'))
    with pytest.raises(GratisError, match="is not a measurement"):
        Measurement.load(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(GratisError, match="does not exist; evaluate the run"):
        Measurement.load(tmp_path / "x.safetensors")
    with pytest.raises(GratisError, match="is not a measurement"):
        Measurement.load(tmp_path)
