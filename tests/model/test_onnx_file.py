"""ONNX files of every usual input are fed, and read nothing outside their folder."""

import numpy as np
import pytest
import torch
from torch.nn import functional

import gratis
from gratis.digests import file_digest
from gratis.errors import GratisError
from gratis.model import Onnx, onnx_file

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
KINDS = onnx.TensorProto
WEIGHT = np.random.default_rng(0).normal(size=(3, 10)).astype(np.float32)


def save(path, kind="FLOAT", shape=("n", 3, 8, 8), channels=1, location=None, **changes):
    """Write a network: the mean of each channel of images in [0, 1] times ``WEIGHT``."""
    helper = onnx.helper
    sides = [axis for axis in (1, 2, 3) if axis != channels]
    scale = np.float32(1 / 255 if kind == "UINT8" else 1)
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=KINDS.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["means"], axes=sides, keepdims=0),
        helper.make_node("Mul", ["means", "scale"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "weight"], ["logits"]),
    ]
    weight = onnx.numpy_helper.from_array(changes.get("weight", WEIGHT), "weight")
    sparse = []
    if location is not None:
        onnx.external_data_helper.set_external_data(weight, location, 0, WEIGHT.nbytes)
        weight.ClearField("raw_data")
        weight.data_location = KINDS.EXTERNAL
    initializers = [weight, onnx.numpy_helper.from_array(scale, "scale")]
    if changes.get("sparse"):
        sparse = [onnx.SparseTensorProto(dims=[3, 10])]
        weight.dims[:] = [30]
        sparse[0].values.CopyFrom(weight)
        indices = onnx.numpy_helper.from_array(np.arange(30, dtype=np.int64), "indices")
        sparse[0].indices.CopyFrom(indices)
        initializers = initializers[1:]
    graph = helper.make_graph(
        nodes,
        "means",
        [helper.make_tensor_value_info("images", getattr(KINDS, kind), list(shape))],
        [helper.make_tensor_value_info("logits", KINDS.FLOAT, [shape[0], 10])],
        initializers,
        sparse_initializer=sparse,
    )
    opsets = [helper.make_opsetid("", 17)]
    # Not by the library's own saving, which refuses what these tests are about.
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def expected(images):
    return torch.from_numpy(images.mean((2, 3)).numpy() @ WEIGHT)


@pytest.fixture
def images():
    return torch.randint(0, 256, (5, 3, 8, 8), generator=torch.Generator().manual_seed(0)) / 255


@pytest.mark.parametrize("kind", ["FLOAT", "FLOAT16", "DOUBLE", "UINT8"])
@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        (("n", 3, 8, 8), "NCHW"),
        (("n", 3, "h", "w"), "NCHW"),
        (("n", "c", "h", "w"), "NCHW"),
        ((2, 3, 8, 8), "NCHW"),
        (("n", 8, 8, 3), "NHWC"),
        ((1, "h", "w", 3), "NHWC"),
    ],
)
def test_every_input_is_fed(tmp_path, images, kind, shape, layout):
    channels = 1 if layout == "NCHW" else 3
    model = Onnx(save(tmp_path / "m.onnx", kind, shape, channels))
    assert model.layout == layout
    found = model(images.contiguous(memory_format=torch.channels_last))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected(images), atol=2e-3, rtol=0)


def test_images_are_resized_to_the_only_size_that_the_file_takes(tmp_path, images):
    path = save(tmp_path / "m.onnx", shape=("n", 3, 16, 16))
    large = functional.interpolate(images, (16, 16), mode="bilinear")
    for model in (Onnx(path), Onnx(path, 16)):
        torch.testing.assert_close(model(images), expected(large))
    with pytest.raises(GratisError, match=r"m\.onnx: takes images of 16x16 px only; leave out"):
        Onnx(path, 32)


def test_an_input_size_applies_to_a_file_that_takes_any(tmp_path, images):
    path = save(tmp_path / "m.onnx", shape=("n", 3, "h", "w"))
    small = functional.interpolate(images, (4, 4), mode="bilinear", antialias=True)
    torch.testing.assert_close(Onnx(path, 4)(images), expected(small))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "INT64"}, r"takes tensor\(int64\); export it for tensor\(float\), "),
        (
            {"shape": ("n", 1, 8, 8), "weight": WEIGHT[:1]},
            "takes an input of nx1x8x8; export a network of square",
        ),
        ({"shape": ("n", 3, 8, 16)}, "takes an input of nx3x8x16"),
    ],
)
def test_other_inputs_are_refused(tmp_path, changes, message):
    with pytest.raises(GratisError, match=message):
        Onnx(save(tmp_path / "m.onnx", **changes))


def test_external_weights_are_part_of_the_digest(tmp_path, images):
    path = save(tmp_path / "m.onnx", location="m.onnx.data")
    WEIGHT.tofile(tmp_path / "m.onnx.data")
    first = Onnx(path)
    torch.testing.assert_close(first(images), expected(images))
    (2 * WEIGHT).tofile(tmp_path / "m.onnx.data")
    second = Onnx(path)
    torch.testing.assert_close(second(images), 2 * expected(images))
    assert str(first) != str(second)
    WEIGHT.tofile(tmp_path / "m.onnx.data")
    assert str(Onnx(path)) == str(first)


def test_results_name_every_file_of_weights(tmp_path):
    path = save(tmp_path / "m.onnx", location="m.onnx.data")
    WEIGHT.tofile(tmp_path / "m.onnx.data")
    found = gratis.evaluate(path, "digits", images=10, out=tmp_path / "out").weights
    assert (found.file, found.sha256) == (str(path), file_digest(path))
    assert found.external == {"m.onnx.data": file_digest(tmp_path / "m.onnx.data")}


@pytest.mark.parametrize(
    "name", ["/etc/hostname", "../other", "sub/../../other", "a\0b", "a" * 300]
)
def test_names_that_lead_elsewhere_are_no_files_of_weights(tmp_path, name):
    (tmp_path / "other").write_text("private")
    (tmp_path / "in").mkdir()
    text = name.encode()
    path = tmp_path / "in/m.onnx"
    path.write_bytes(b"\x0a\x08location\x12" + varint(len(text)) + text)
    assert onnx_file.external_weights(path) == {}


@pytest.mark.parametrize("name", ["b.bin", "b" * 127, "b" * 128, "b" * 200])
def test_every_file_of_external_weights_is_part_of_the_digest(tmp_path, name):
    """Entries that follow each other closely, and names of any length."""
    entries = [b"\x0a\x08location\x12" + varint(len(each)) + each.encode() for each in ("a", name)]
    path = tmp_path / "m.onnx"
    path.write_bytes(b"\x1a".join(entries))
    digests = set()
    for changed in (None, "a", name):
        if changed is not None:
            (tmp_path / changed).write_text("weights")
        digests.add(onnx_file._digest(path))
    assert len(digests) == 3


def varint(number):
    return bytes([number]) if number < 128 else bytes([number % 128 + 128, number // 128])


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("place", ["inside", "absolute", "above", "link"])
def test_external_weights_outside_the_folder_are_never_read(tmp_path, place, sparse, images):
    folder = tmp_path / "model"
    folder.mkdir()
    WEIGHT.tofile(tmp_path / "outside.bin")
    WEIGHT.tofile(folder / "inside.bin")
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    location = {
        "inside": "inside.bin",
        "absolute": str(tmp_path / "outside.bin"),
        "above": "../outside.bin",
        "link": "link.bin",
    }[place]
    path = save(folder / "m.onnx", location=location, sparse=sparse)
    if place == "inside":
        torch.testing.assert_close(Onnx(path)(images), expected(images))
        return
    with pytest.raises(GratisError, match=r"m\.onnx: cannot be read by onnxruntime"):
        Onnx(path)
