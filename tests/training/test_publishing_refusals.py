"""One's own network through the one call: real rows, and that what is refused leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from folding.errors import GraphError
from folding.proof import SAMPLE_ROWS
from models.errors import ModelsError, StoreError
from models.store import Store
from tests.training.examples import TOLERANCE, Forward, answers, build, normal_rows
from training import export
from training.errors import TrainingError

Change = Callable[[nn.Module], object]


class Liar(nn.Module):
    """Computes another function once it is exported."""

    def __init__(self) -> None:
        super().__init__()
        self.features = sequence()

    def forward(self, rows: Tensor) -> Tensor:
        """What only torch itself gets right."""
        output: Tensor = self.features(rows)
        return 1.01 * output if torch.onnx.is_in_onnx_export() else output


class Difference(nn.Module):
    """Takes two inputs of one shape, which no check could tell apart if they were mixed up."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(6)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """One normalized, less the other."""
        output: Tensor = self.norm(left) - right
        return output


def sequence() -> nn.Module:
    """A linear and a normalization layer, from 6 features to 4."""
    return nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4))


def state(network: nn.Module) -> dict[str, object]:
    """Everything that an export must leave as it is."""
    tensors = {name: tensor.clone().numpy().tobytes() for name, tensor in network.state_dict().items()}
    return tensors | {f"{name} trains": module.training for name, module in network.named_modules()}


@pytest.fixture
def untouched(tiny: Store) -> Iterator[Path]:
    """A folder of a store with one version of ``tiny``, in which nothing may change."""
    before = sorted(tiny.root.rglob("*"))
    yield tiny.root
    assert sorted(tiny.root.rglob("*")) == before


def test_real_rows_are_verified_with_and_the_first_become_the_sample(store: Store) -> None:
    network, rows = build(sequence), normal_rows(40, 6, seed=5)

    bundle = export(network, normal_rows(2, 6), store=store, name="mine", rows=rows)

    checks, sample = bundle.manifest.verification.checks, bundle.sample()
    assert [(check.rows, check.num_rows) for check in checks] == [("random", 64), ("real", 40)]
    assert max(a.max_relative_error for check in checks for a in (*check.outputs, *check.taps)) <= TOLERANCE
    np.testing.assert_array_equal(sample.inputs["input"], rows[:SAMPLE_ROWS].numpy())
    np.testing.assert_array_equal(sample.outputs["output"], answers(network, rows[:SAMPLE_ROWS]))


def test_rows_are_told_apart_by_name_and_not_by_order(store: Store) -> None:
    left, right = normal_rows(5, 6, seed=1), normal_rows(5, 6, seed=2)
    example = {"left": normal_rows(2, 6), "right": normal_rows(2, 6)}

    bundle = export(build(Difference), example, store=store, name="mine", rows={"right": right, "left": left})

    sample = bundle.sample()
    np.testing.assert_array_equal(sample.inputs["left"], left.numpy())
    np.testing.assert_array_equal(sample.inputs["right"], right.numpy())


def test_rows_that_a_gradient_is_wanted_of_are_taken(store: Store) -> None:
    rows = normal_rows(5, 6).requires_grad_()

    bundle = export(build(sequence), rows, store=store, name="mine", rows=rows)

    np.testing.assert_array_equal(bundle.sample().inputs["input"], rows.detach().numpy())


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (torch.zeros(5, 7), r"rows: input: expected FP32 of shape \[-1, 6\], got float32 of shape \[5, 7\]"),
        (torch.zeros(5, 2, 6), r"rows: input: expected FP32 of shape \[-1, 6\], got float32 of shape \[5, 2, 6\]"),
        (torch.zeros(5, 6).double(), r"rows: input: expected FP32 of shape \[-1, 6\], got float64 of shape \[5, 6\]"),
        (
            torch.full((5, 6), torch.nan),
            r"rows: input: expected finite values, got NaN or infinity in 5 rows.+",
        ),
        (torch.zeros(1, 6), r"input: expected at least two rows in every input, got shape \(1, 6\)"),
        ({"image": torch.zeros(5, 6)}, r"rows: expected the arrays \['input'\], got \['image'\]"),
        ((torch.zeros(5, 6),) * 2, r"rows: expected the arrays \['input'\], got \['input', 'input_1'\]"),
    ],
    ids=["other size", "other rank", "other datatype", "NaN", "one row", "other name", "one too many"],
)
def test_rows_that_do_not_fit_are_refused(rows: Any, sentence: str, untouched: Path) -> None:  # noqa: ANN401
    with pytest.raises((TrainingError, GraphError), match=rf"^{sentence}$"):
        export(build(sequence), normal_rows(2, 6), store=untouched, name="tiny", rows=rows)


def test_as_many_rows_of_every_input_are_asked_for(untouched: Path) -> None:
    rows = (torch.zeros(5, 6), torch.zeros(4, 6))

    with pytest.raises(
        (TrainingError, GraphError), match=r"^rows: expected the same number of rows in every array, got .*5.*4"
    ):
        export(build(Difference), (normal_rows(2, 6), normal_rows(2, 6)), store=untouched, name="tiny", rows=rows)


def test_an_export_leaves_the_network_as_it_was(store: Store) -> None:
    network = build(sequence)
    before = state(network)

    export(network, normal_rows(2, 6), store=store, name="mine", rows=normal_rows(5, 6), fold="complete")

    assert state(network) == before


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda net: net.train(), "network: expected inference mode, got training mode; call network.eval() first"),
        (lambda net: net[1].train(), "1: expected inference mode, got training mode; call network.eval() first"),
        (lambda net: net[0].weight.data.fill_(torch.nan), "output: expected finite values, got NaN or infinity"),
        (
            lambda net: net[1].running_mean.fill_(torch.nan),
            "1.running_mean: expected finite numbers, got NaN or infinity",
        ),
        (lambda net: net[1].running_var.fill_(-1), "1.running_var: expected no negative variance, got -1"),
        (
            lambda net: net[1].reset_running_stats(),
            "1: expected statistics that data has updated, got those of a new layer (mean 0, variance 1, no batches); "
            "load a checkpoint, or allow untrained layers if that is what you mean",
        ),
        (
            lambda net: net.append(Forward(lambda _, y: y if y.sum() > 0 else -y)).eval(),
            "network: expected a module that torch.export can trace: ",
        ),
        (
            lambda net: net.append(nn.Linear(3, 4)).eval(),
            "network: expected to take the example: mat1 and mat2 shapes cannot be multiplied (2x4 and 3x4)",
        ),
    ],
    ids=[
        "training mode",
        "a part in training mode",
        "NaN weights",
        "NaN statistics",
        "negative variance",
        "untrained",
        "control flow",
        "layers that do not fit",
    ],
)
def test_a_network_that_can_t_be_exported_is_refused_and_left_as_it_was(
    change: Change, sentence: str, untouched: Path
) -> None:
    network = build(sequence)
    change(network)
    before = state(network)

    with pytest.raises((TrainingError, GraphError)) as refused:
        export(network, normal_rows(2, 6), store=untouched, name="tiny")

    assert str(refused.value).startswith(sentence)
    assert "\n" not in str(refused.value)
    assert state(network) == before


def test_a_network_without_values_is_refused_by_parameter(untouched: Path) -> None:
    network = sequence().eval().to("meta")

    with pytest.raises(
        (TrainingError, GraphError), match=r"^0\.weight: expected values on the CPU, got a tensor on meta$"
    ):
        export(network, normal_rows(2, 6), store=untouched, name="tiny")


def test_a_compiled_network_is_refused_with_what_to_export_instead(untouched: Path) -> None:
    network: Any = torch.compile(build(sequence), backend="eager")

    with pytest.raises(
        (TrainingError, GraphError), match=r"^network: expected no compiled module; export its _orig_mod instead$"
    ):
        export(network, normal_rows(2, 6), store=untouched, name="tiny")


def test_untrained_layers_are_taken_if_that_is_meant(store: Store) -> None:
    bundle = export(sequence().eval(), normal_rows(2, 6), store=store, name="mine", allow_untrained=True)

    assert [layer.num_batches_tracked for layer in bundle.manifest.layers] == [0]


def test_a_graph_that_disagrees_is_not_published(untouched: Path) -> None:
    with pytest.raises(
        (TrainingError, GraphError), match=r"^output: on random rows the folded graph is 0\.01 off the network"
    ):
        export(build(Liar), normal_rows(2, 6), store=untouched, name="tiny")


def test_an_unknown_mode_is_refused(untouched: Path) -> None:
    mode: Any = "best"

    with pytest.raises(TrainingError, match=r"^fold: expected one of fast, complete, got 'best'$"):
        export(build(sequence), normal_rows(2, 6), store=untouched, name="tiny", fold=mode)


def test_a_name_that_no_model_can_have_is_refused_before_any_work(untouched: Path) -> None:
    unready = sequence()

    with pytest.raises(StoreError, match=r"^model name: expected a letter or digit, .*, got 'my model'$"):
        export(unready, normal_rows(2, 6), store=untouched, name="my model")


def test_a_store_that_is_a_file_is_refused(tmp_path: Path) -> None:
    occupied = tmp_path / "store"
    occupied.write_text("no folder")

    with pytest.raises(ModelsError, match=r"expected a folder that can be written to"):
        export(build(sequence), normal_rows(2, 6), store=occupied, name="mine")

    assert [path.name for path in tmp_path.iterdir()] == ["store"]
