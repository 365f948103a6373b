from collections import Counter

import pytest
import torch
from torch import nn

from tests.training.networks.small import CLASSES, images, small_network
from training.networks import NETWORKS
from training.normalization import normalization_layers

every_network = pytest.mark.parametrize("name", NETWORKS)
WITH_A_STEM = [name for name in NETWORKS if name.startswith(("resnet", "preactresnet", "densenet", "mobilenet"))]


@every_network
def test_every_network_turns_images_into_logits(name: str) -> None:
    network = small_network(name).eval()

    logits = network(images(2))

    assert logits.shape == (2, CLASSES)


@pytest.mark.parametrize("name", WITH_A_STEM)
def test_every_network_with_a_stem_turns_large_images_into_logits(name: str) -> None:
    network = small_network(name, stem="imagenet").eval()

    logits = network(images(2, 64))

    assert logits.shape == (2, CLASSES)


@every_network
def test_a_forward_pass_reaches_every_normalization_once(name: str) -> None:
    network = small_network(name).eval()
    layers = normalization_layers(network)
    reached: Counter[nn.Module] = Counter()
    for layer in layers.values():
        layer.register_forward_hook(lambda module, _inputs, _output: reached.update([module]))

    network(images(2))

    assert {layer_name: reached[layer] for layer_name, layer in layers.items()} == dict.fromkeys(layers, 1)


@every_network
def test_a_gradient_reaches_every_parameter(name: str) -> None:
    network = small_network(name).train()
    labels = torch.arange(8) % CLASSES

    torch.autograd.backward(nn.functional.cross_entropy(network(images(8)), labels))

    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@every_network
def test_no_layer_learns_a_bias_that_a_normalization_would_take_away(name: str) -> None:
    network = small_network(name)

    biased = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear) and m.bias is not None]

    assert [type(module).__name__ for module in biased] == ["Linear"]  # the classifier, behind which none is


@every_network
def test_in_inference_a_row_is_answered_alike_alone_and_in_a_batch(name: str) -> None:
    network = small_network(name).eval()
    rows = images(3)

    together, alone = network(rows), network(rows[:1])

    # sums of another order, in float32
    torch.testing.assert_close(together[:1], alone, rtol=1e-4, atol=1e-5)


@every_network
def test_training_moves_the_statistics_of_every_normalization(name: str) -> None:
    network = small_network(name).train()

    network(images(4))

    layers = normalization_layers(network)
    assert [n for n, layer in layers.items() if layer.running_mean is None or not layer.running_mean.any()] == []


@every_network
def test_inference_moves_nothing(name: str) -> None:
    network = small_network(name).eval()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}

    network(images(2))

    assert [key for key, tensor in network.state_dict().items() if not torch.equal(tensor, before[key])] == []


@pytest.mark.parametrize(
    "name", [name for name in NETWORKS if name not in {"convnet", "mlp", "densenet", "densenet121"}]
)
@pytest.mark.parametrize("width", [0, -1.5, float("nan")])
def test_a_width_that_is_not_above_0_is_refused(name: str, width: float) -> None:
    with pytest.raises(ValueError, match=rf"^width: expected a number above 0, got {width}$"):
        NETWORKS[name](width=width)


@pytest.mark.parametrize("name", WITH_A_STEM)
def test_an_unknown_stem_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(ValueError, match=r"^stem: expected one of imagenet, small, got 'cifar'$"):
        NETWORKS[name](stem="cifar")
