import pytest
import torch
from torch import nn

from tests.training.examples import normal_rows
from training.data.splits import Rows
from training.normalization import normalization_layers
from training.studies.data import StudyData
from training.studies.subsets import build

ROWS = Rows(normal_rows(6, 1, 2, 2), torch.tensor([0, 1, 2, 3, 4, 5]))
DATA = StudyData("small", ROWS, ROWS)


@pytest.mark.parametrize(
    ("subset", "where", "channels"),
    [
        ("none", "-", []),
        ("input", "-", [4]),
        ("first", "before", [100]),
        ("last", "after", [100]),
        ("every other", "before", [100] * 3),
        ("all", "after", [100] * 6),
    ],
)
def test_as_many_activations_are_normalized_as_the_subset_says(subset: str, where: str, channels: list[int]) -> None:
    network = build(DATA, "ReLU", subset, where, seed=0)

    assert [layer.num_features for layer in normalization_layers(network).values()] == channels


@pytest.mark.parametrize(("where", "negative"), [("before", False), ("after", True)])
def test_the_side_of_the_nonlinearity_is_told_by_what_comes_out(where: str, negative: bool) -> None:
    network = build(DATA, "ReLU", "last", where, seed=0).train()
    taken: list[torch.Tensor] = []
    network[-1].register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0]))

    network(ROWS.values)

    assert bool((taken[0] < 0).any()) is negative


def test_every_subset_begins_with_the_same_weights() -> None:
    one, other = (build(DATA, "sigmoid", subset, "before", seed=0) for subset in ("none", "all"))

    weights = [[layer.weight for layer in network if isinstance(layer, nn.Linear)] for network in (one, other)]

    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))
