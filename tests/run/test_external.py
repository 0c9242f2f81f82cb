"""External models: each form is measured as it would be alone, or refused in one line."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

import digits_models
import gratis
from digits_models import EPSILON
from gratis.data import to_float
from gratis.errors import GratisError
from gratis.report import read_runs
from gratis.results import Measurement, Results
from gratis.run import ModelSource, evaluate_source
from gratis.validation_sets import build

MODULE = """
import torch
from torch import nn
def small():
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(), nn.Flatten(), nn.Linear(512, 10),
    )
    net.load_state_dict(torch.load("small.pt", weights_only=True))
    return net
def broken():
    raise ValueError("no such file")
def number():
    return 7
"""
CONSTANT = """
import torch
from torch import nn
class Constant(nn.Module):
    def forward(self, images):
        wanted = torch.arange(10) == {answer}
        return 0 * images.mean((1, 2, 3))[:, None] + 3 * wanted
"""
QUICK = ["data.name=digits", f"evaluate.epsilon={EPSILON}", "evaluate.pgd_steps=2"]
FEW = [*QUICK, "evaluate.images=60"]


def right(model):
    split = digits_models.digits().validation
    with torch.no_grad():
        logits = model(to_float(split.images, "cpu"))
    return logits.argmax(1).numpy() == split.labels


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """A folder with a module and weights of the user's, in which they work."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "theirs_for_test", raising=False)
    Path("theirs_for_test.py").write_text(MODULE)
    torch.save(digits_models.natural().state_dict(), "small.pt")
    return tmp_path


@pytest.fixture
def timm_weights(tmp_path):
    """Weights of a timm network that was never trained."""
    torch.manual_seed(0)
    network = timm.create_model("test_resnet", num_classes=10).eval()
    save_file(network.state_dict(), tmp_path / "theirs.safetensors")
    return network, tmp_path / "theirs.safetensors"


@pytest.fixture
def onnx_file(tmp_path):
    """Make a linear classifier in a file, of a fixed batch size or of any."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")

    module = digits_models.train(net=nn.Sequential(nn.Flatten(), nn.Linear(192, 10)))
    linear = module[1]

    def make(batch):
        value, helper, FLOAT = onnx.numpy_helper.from_array, onnx.helper, onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            [
                helper.make_node("Flatten", ["images"], ["flat"]),
                helper.make_node("Gemm", ["flat", "w", "b"], ["logits"], transB=1),
            ],
            "linear",
            [helper.make_tensor_value_info("images", FLOAT, [batch, 3, 8, 8])],
            [helper.make_tensor_value_info("logits", FLOAT, [batch, 10])],
            [
                value(linear.weight.detach().numpy(), "w"),
                value(linear.bias.detach().numpy(), "b"),
            ],
        )
        opsets = [helper.make_opsetid("", 17)]
        path = tmp_path / "linear.onnx"
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
        return path, module

    return make


def test_a_function_of_the_users_is_measured_as_the_module_itself(theirs):
    found = evaluate_source(
        ModelSource("theirs_for_test:small"), [*QUICK, "evaluate.suite=standard"]
    )
    (folder,) = (theirs / "evaluations").glob("theirs_for_test-small-digits-*")
    assert Results.read(folder / "results.json") == found
    correct = Measurement.load(folder / "correct.safetensors").correct
    np.testing.assert_array_equal(correct["clean"], right(digits_models.natural()))
    assert found.clean > 0.9 > 0.3 > found.robust and found.checks and found.passes == 0
    assert found.parameters == sum(p.numel() for p in digits_models.natural().parameters())
    itself = gratis.evaluate(
        digits_models.natural(), "digits", suite="standard", epsilon=EPSILON, pgd_steps=2
    )
    assert itself.tasks == found.tasks and itself.checks == found.checks
    assert not (theirs / "evaluations" / "Sequential").exists()


def test_changed_code_is_measured_again(theirs):
    def measured(answer):
        Path("constant_for_test.py").write_text(CONSTANT.format(answer=answer))
        sys.modules.pop("constant_for_test", None)
        importlib.invalidate_caches()
        return evaluate_source(
            ModelSource("constant_for_test:Constant"),
            [*FEW, "evaluate.suite=paper"],
            out=theirs / "a",
        )

    split = digits_models.digits().validation
    share = [
        (split.labels[np.arange(60) * len(split) // 60] == answer).mean() for answer in range(10)
    ]
    one, other = int(np.argmin(share)), int(np.argmax(share))
    assert share[one] != share[other]
    # No weights tell the two apart.
    assert measured(one).clean == pytest.approx(share[one])
    assert measured(f"0 + {other}").clean == pytest.approx(share[other])


def test_a_timm_model_gets_its_own_normalisation_and_size(timm_weights, tmp_path):
    network, weights = timm_weights
    for size in (None, 32):
        origin = ModelSource("test_resnet", weights, size)
        found = evaluate_source(origin, QUICK, out=tmp_path / f"out{size}")
        mean, std = (
            torch.tensor(network.pretrained_cfg[k]).view(1, 3, 1, 1) for k in ("mean", "std")
        )

        def expected(images, size=size, mean=mean, std=std):
            if size:
                images = nn.functional.interpolate(images, (size, size), mode="bilinear")
            return network((images - mean) / std)

        assert found.clean == pytest.approx(right(expected).mean())


def test_weights_that_do_not_fit_are_refused(timm_weights):
    _, weights = timm_weights
    with pytest.raises(
        GratisError, match=r"does not fit test_resnet with 3 classes .*10 in the file"
    ):
        evaluate_source(ModelSource("test_resnet", weights), [*QUICK, "data.classes=3"])
    with pytest.raises(GratisError, match="timm has no model 'test_resnett'; did you mean"):
        evaluate_source(ModelSource("test_resnett", weights), QUICK)
    with pytest.raises(GratisError, match="no such weights file"):
        evaluate_source(ModelSource("test_resnet", weights.parent / "none.pth"), QUICK)


@pytest.mark.parametrize("batch", ["n", 7])
def test_an_onnx_file_is_measured_on_fixed_images(onnx_file, batch, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, module = onnx_file(batch)
    split = digits_models.digits().validation
    build(tmp_path / "sets", split, False, digits_models.natural(), EPSILON, 0)
    found = evaluate_source(ModelSource(str(path)), QUICK, sets=tmp_path / "sets")
    assert found.suite == "transfer" and found.pgd is None and found.transfer is not None
    correct = Measurement.load(
        next(Path("evaluations").glob("linear-digits-*/correct.safetensors"))
    ).correct
    np.testing.assert_array_equal(correct["clean"], right(module))
    assert correct.keys() == {"clean", "geometric", "fgsm_transfer", "transfer"}
    with pytest.raises(GratisError, match=r"linear: has no gradient.*suite=.transfer"):
        gratis.evaluate(path, "digits", suite="table")


def test_onnx_troubles_are_named(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    with pytest.raises(GratisError, match=r"none\.onnx: no such ONNX file"):
        evaluate_source(ModelSource(str(tmp_path / "none.onnx")), QUICK)
    (tmp_path / "bad.onnx").write_bytes(b"nonsense")
    with pytest.raises(GratisError, match=r"bad\.onnx: cannot be read by onnxruntime"):
        evaluate_source(ModelSource(str(tmp_path / "bad.onnx")), QUICK)


def test_without_onnxruntime_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(GratisError, match=r"needs onnxruntime; install it: pip .*gratis\[onnx\]"):
        evaluate_source(ModelSource("a.onnx"), QUICK)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("theirs_for_test:broken", "cannot be called .ValueError: no such file"),
        ("theirs_for_test:number", "returns int; return a torch.nn.Module"),
        ("theirs_for_test:nothing", "cannot be called .AttributeError"),
        ("no_such_module_of_theirs:f", "cannot be called .ModuleNotFoundError"),
    ],
)
def test_functions_that_give_no_model_are_refused(theirs, target, message):
    with pytest.raises(GratisError, match=f"{target}: {message}"):
        evaluate_source(ModelSource(target), QUICK)


@pytest.mark.parametrize(
    ("target", "weights", "kind", "name"),
    [
        ("runs/free", None, "run", "free"),
        ("a/b.onnx", None, "onnx", "b"),
        ("package.module:function", None, "function", "package.module-function"),
        ("resnet18.a1_in1k", Path("w"), "timm", "resnet18.a1_in1k"),
        ("C:\\runs\\free", None, "run", "C-runs-free"),
    ],
)
def test_what_a_word_names(target, weights, kind, name):
    origin = ModelSource(target, weights)
    assert (origin.kind, origin.name) == (kind, name)


def test_a_runs_folder_is_not_written_into(tmp_path):
    (tmp_path / "recipe.yaml").write_text("name: other")
    with pytest.raises(GratisError, match="is the folder of a run; choose another with out"):
        gratis.evaluate(digits_models.natural(), "digits", out=tmp_path)


def test_the_command_line_measures_a_function(theirs, within):
    options = ["--data", "digits", "--suite", "standard", "--out", "here", *FEW[1:]]
    code, said = within("evaluate", "theirs_for_test:small", *options)
    assert code == 0, said.err
    assert "sanity checks" in said.out and "failed" not in said.out and "robust" in said.out
    assert json.loads(Path("here/results.json").read_text())["checks"]
    code, said = within("evaluate", "theirs_for_test:small")
    assert code == 2 and "data" in said.err
    code, said = within("evaluate", "nowhere", "--data", "digits")
    assert code == 2 and "is not a run folder" in said.err and "--weights" in said.err
    code, said = within("evaluate", "nowhere")
    assert code == 2 and "is not a run folder" in said.err and "--weights" in said.err
    (run,) = read_runs([Path("here")]).runs
    assert run.results.external and run.results.title == "theirs_for_test-small"


def test_from_python_the_data_must_be_named():
    with pytest.raises(GratisError, match="name the data to measure on"):
        gratis.evaluate(digits_models.natural())
    with pytest.raises(GratisError, match="unknown data 'digit'; did you mean 'digits'"):
        gratis.evaluate(digits_models.natural(), "digit")
    with pytest.raises(GratisError, match="evaluate: suite"):
        gratis.evaluate(digits_models.natural(), "digits", suite="standards")
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        gratis.evaluat  # noqa: B018
