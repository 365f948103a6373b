import torch
from torch import nn

from training.networks.bninception import MODULES, BNInception


def test_the_modules_of_images_of_224x224_have_the_sizes_of_the_table() -> None:
    network = BNInception(width=0.02).eval()
    sizes: list[int] = []
    for module in network.inception:
        module.register_forward_hook(lambda _module, _inputs, output: sizes.append(output.shape[-1]))

    network(torch.zeros(1, 3, 224, 224))

    assert sizes == [28, 28, 14, 14, 14, 14, 14, 7, 7, 7]


def test_the_modules_have_the_channels_that_the_filters_of_the_table_sum_to() -> None:
    with torch.device("meta"):
        network = BNInception()

    channels = [module.out_channels for module in network.inception]

    assert channels == [256, 320, 576, 576, 576, 608, 608, 1056, 1024, 1024]


def test_the_pools_are_those_of_the_table() -> None:
    maximal = [name for name, filters in MODULES.items() if filters.pool is nn.MaxPool2d]

    assert maximal == ["3c", "4e", "5b"]


def test_a_module_that_strides_passes_what_it_pools_on() -> None:
    network = BNInception(width=0.1).eval()
    module = network.get_submodule("inception.3c")
    rows = torch.randn(2, 32, 9, 9, generator=torch.Generator().manual_seed(0))

    features = module(rows)

    assert features.shape[2:] == (5, 5)
    assert torch.equal(features[:, -32:], nn.functional.max_pool2d(rows, 3, stride=2, padding=1))
