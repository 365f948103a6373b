import pytest
import torch
from torch import nn

from tests.training.examples import normal_rows
from training.data.splits import Rows
from training.studies.fitting import Plan
from training.studies.ghost_normalization import GhostBatchNorm1d
from training.studies.regularization_fits import KINDS, build, drawn, fit_and_compare


def count(network: nn.Module, kind: type[nn.Module]) -> int:
    return sum(isinstance(module, kind) for module in network.modules())


@pytest.mark.parametrize(
    ("name", "normalized", "dropped"),
    [
        ("neither", 0, 0),
        ("normalization", 2, 0),
        ("Dropout", 0, 2),
        ("both", 2, 2),
        ("both, Dropout last", 2, 1),
    ],
)
def test_every_kind_is_built_as_it_is_called(name: str, normalized: int, dropped: int) -> None:
    kind = next(kind for kind in KINDS if kind.name == name)

    network = build(4, kind, seed=0)

    assert (count(network, nn.BatchNorm1d), count(network, nn.Dropout)) == (normalized, dropped)


def test_dropout_at_the_end_is_behind_every_normalization_layer() -> None:
    network = build(4, KINDS[-1], seed=0)

    kinds = [type(module) for module in network]

    assert kinds[-2:] == [nn.Dropout, nn.Linear]


def test_groups_of_a_batch_are_normalized_by_themselves_where_a_size_is_given() -> None:
    network = build(4, KINDS[1], seed=0, group_rows=2)

    layers = [module for module in network if isinstance(module, nn.BatchNorm1d)]

    assert [layer.group_rows for layer in layers if isinstance(layer, GhostBatchNorm1d)] == [2, 2]


@pytest.mark.parametrize(("group_rows", "told"), [(None, 3), (2, 0)])
def test_moving_averages_are_told_of_where_layers_keep_them(group_rows: int | None, told: int) -> None:
    rows = Rows(normal_rows(8, 4), torch.arange(8))
    network = build(4, KINDS[1], seed=0, group_rows=group_rows)

    figures = fit_and_compare(network, rows, rows, Plan(2, 8, 0.1), {}).figures

    assert sum("average" in name for name in figures) == told
    assert figures["loss_gap"] == 0


def test_rows_are_drawn_without_repetition_with_their_labels() -> None:
    labels = normal_rows(20).argsort()
    rows = Rows(labels[:, None].float(), labels)

    some = drawn(rows, 12, seed=1)

    assert len(some) == len(set(some.labels.tolist())) == 12
    assert some.values[:, 0].tolist() == some.labels.tolist()
    assert len(drawn(rows, 50, seed=1)) == 20
