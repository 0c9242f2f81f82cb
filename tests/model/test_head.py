import pytest
import torch
from torch.nn import functional

from gratis.model import Head, HeadSettings


def test_the_papers_head_has_three_hidden_layers_and_a_class_layer():
    head = Head(2048, 200, HeadSettings())
    shapes = [tuple(layer.weight.shape) for layer in [*head.hidden, head.classes]]
    assert shapes == [(512, 2048), (512, 512), (512, 512), (200, 512)]
    assert head.dropout == 0.5


def test_the_embedding_is_the_third_hidden_output():
    head = Head(7, 3, HeadSettings(width=5)).eval()
    features = torch.randn(4, 7)
    first, second, third = head.hidden
    one = (features @ first.weight.T + first.bias).clamp_min(0)
    two = (one @ second.weight.T + second.bias).clamp_min(0)
    three = (two @ third.weight.T + third.bias).clamp_min(0)
    logits, embedding = head(features)
    torch.testing.assert_close(embedding, three)
    torch.testing.assert_close(logits, three @ head.classes.weight.T + head.classes.bias)


def test_dropout_follows_every_hidden_layer_and_spares_the_embedding():
    head = Head(7, 3, HeadSettings(width=50, dropout=0.4)).train()
    features = torch.randn(4, 7)
    torch.manual_seed(1)
    logits, embedding = head(features)
    torch.manual_seed(1)
    hidden = features
    for layer in head.hidden:
        expected = functional.relu(layer(hidden))
        hidden = functional.dropout(expected, 0.4, True)
    torch.testing.assert_close(embedding, expected)
    torch.testing.assert_close(logits, head.classes(hidden))


@pytest.mark.parametrize("dropout, differs", [(0.0, False), (0.5, True)])
def test_only_dropout_makes_training_random(dropout, differs):
    head = Head(7, 3, HeadSettings(width=20, dropout=dropout)).train()
    features = torch.randn(4, 7)
    assert torch.equal(head(features)[0], head(features)[0]) is not differs
    head.eval()
    assert torch.equal(head(features)[0], head(features)[0])


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_any_number_of_layers(layers):
    logits, embedding = Head(7, 3, HeadSettings(width=5, layers=layers))(torch.randn(2, 7))
    assert (logits.shape, embedding.shape) == ((2, 3), (2, 5))


def test_without_layers_the_class_layer_is_alone():
    head = Head(7, 3, HeadSettings(layers=0, dropout=0.5)).train()
    features = torch.randn(2, 7)
    logits, embedding = head(features)
    assert torch.equal(embedding, features)
    torch.testing.assert_close(logits, features @ head.classes.weight.T + head.classes.bias)
