"""What is not recalibrated, and the sentence that says why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from folding.errors import RecalibrationError
from folding.recalibration import recalibrate
from models.bundle import Bundle
from models.store import Store
from tests.drafts import INPUTS, draft
from tests.training.examples import Forward, build, normal_rows
from training import export

ROWS = 40


def classifier() -> nn.Module:
    """Two layers, four classes."""
    return nn.Sequential(
        nn.Linear(INPUTS, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 4)
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    rows = normal_rows(ROWS, INPUTS)
    return export(build(classifier), rows[:2], store=tmp_path_factory.mktemp("store"), name="model", rows=rows)


def given(rows: int = ROWS, **changes: Any) -> NDArray[np.float32]:  # noqa: ANN401
    """Rows for that classifier."""
    array: NDArray[np.float32] = normal_rows(rows, INPUTS, **changes).numpy()
    return array


def refusal(bundle: Bundle, rows: dict[str, NDArray[Any]] | NDArray[Any], **options: Any) -> str:  # noqa: ANN401
    """Why it is not recalibrated, in one sentence."""
    named = rows if isinstance(rows, dict) else {bundle.manifest.inputs[0].name: rows}
    with pytest.raises(RecalibrationError) as refused:
        recalibrate(bundle, named, **options)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_fewer_rows_than_it_takes_are_refused_with_the_number_that_it_takes(bundle: Bundle) -> None:
    sentence = refusal(bundle, given(31))

    assert sentence == (
        "rows: expected at least 32, got 31; fewer do where the old statistics count as a prior (prior_rows)"
    )


def test_no_rows_are_refused_whatever_the_prior(bundle: Bundle) -> None:
    sentence = refusal(bundle, given(0), prior_rows=10)

    assert sentence.startswith("rows: input: expected ")


def test_the_number_of_rows_may_be_said(bundle: Bundle) -> None:
    sentence = refusal(bundle, given(ROWS), min_rows=41, prior_rows=5)

    assert sentence == "rows: expected at least 41, got 40"


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ({"image": given()}, "rows: expected the arrays ['input'], got ['image']"),
        (given()[:, :3], "rows: input: expected FP32 of shape [-1, 4], got float32 of shape [40, 3]"),
        (given().astype(np.float64), "rows: input: expected FP32 of shape [-1, 4], got float64 of shape [40, 4]"),
    ],
    ids=["another name", "another shape", "another datatype"],
)
def test_rows_that_do_not_fit_are_refused_with_what_was_expected_and_got(
    bundle: Bundle,
    rows: dict[str, NDArray[Any]] | NDArray[Any],
    sentence: str,
) -> None:
    found = refusal(bundle, rows)

    assert found == sentence


def test_rows_that_are_not_finite_are_counted(bundle: Bundle) -> None:
    rows = given()
    rows[3, 1], rows[3, 2], rows[17, 0] = np.nan, np.inf, -np.inf

    sentence = refusal(bundle, rows)

    assert sentence == "rows: input: expected finite values, got NaN or infinity in 2 rows, of which the first is 3"


@pytest.mark.parametrize("options", [{"prior_rows": -1}, {"batch_rows": 0}], ids=str)
def test_numbers_that_are_none_are_refused(bundle: Bundle, options: dict[str, int]) -> None:
    sentence = refusal(bundle, given(), **options)

    assert sentence.startswith("prior_rows, batch_rows: expected at least 0 and at least 1, got ")


def test_a_channel_that_no_longer_varies_is_refused_by_layer_and_channel(bundle: Bundle) -> None:
    rows = np.repeat(given(1), ROWS, axis=0)

    sentence = refusal(bundle, rows)

    assert sentence.startswith(
        "1: expected every channel to vary over the rows, got variance 0 in channel 0 and 5 more"
    )


def test_a_channel_that_never_varied_is_none_to_miss(tmp_path: Path) -> None:
    network = build(classifier)
    with torch.no_grad():
        network.get_parameter("0.weight")[2] = 0
        network.get_buffer("1.running_var")[2] = 0
        network.get_buffer("1.running_mean")[2] = network.get_parameter("0.bias")[2]
    rows = normal_rows(ROWS, INPUTS)
    published = export(network, rows[:2], store=tmp_path, name="model", rows=rows)

    found = recalibrate(published, {"input": 2 * rows.numpy()}, force=True)

    # eps beside eps, and nothing that varies
    assert found.distances["1"].ratio[2] == pytest.approx(1, rel=1e-6)
    assert found.record.layers[0].mean_symmetric_kl is not None


def collapsing() -> tuple[nn.Module, NDArray[np.float32]]:
    """A network that tells rows apart by their mean alone, which their own statistics take away from them."""
    network = build(lambda: nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 2)))
    with torch.no_grad():
        network.get_buffer("0.running_mean").fill_(0)
        network.get_buffer("0.running_var").fill_(1)
        network.get_parameter("0.weight").fill_(1)
        network.get_parameter("0.bias").fill_(0)
        network.get_parameter("1.weight").copy_(torch.tensor([[1.0], [-1.0]]))
        network.get_parameter("1.bias").copy_(torch.tensor([-1.9, 1.9]))
    halves = np.linspace(1.0, 3.0, 40, dtype=np.float32)[:, None]
    return network, halves


def test_predictions_that_collapse_are_refused_unless_forced(tmp_path: Path) -> None:
    network, rows = collapsing()
    example = torch.from_numpy(rows)
    published = export(network, example[:2], store=tmp_path, name="model", rows=example, allow_untrained=True)

    sentence = refusal(published, rows)
    forced = recalibrate(published, {"input": rows}, force=True)

    assert sentence.startswith("output: expected predictions about as varied as before, entropy 0.69, got 0.00: 1 ")
    predictions = forced.record.outputs[0].predictions
    assert predictions is not None
    assert (len(predictions.before), len(predictions.after)) == (2, 1)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (np.zeros(39, np.int64), "labels: expected 40 whole numbers, one a row, got int64 of shape [39]"),
        (np.zeros(40), "labels: expected 40 whole numbers, one a row, got float64 of shape [40]"),
        (np.full(40, 4), "labels: expected classes from 0 to 3, got 4 to 4"),
    ],
    ids=["too few", "no whole numbers", "no such class"],
)
def test_labels_that_are_none_are_refused(bundle: Bundle, labels: NDArray[Any], sentence: str) -> None:
    found = refusal(bundle, given(), labels=labels)

    assert found == sentence


def test_labels_without_an_output_of_classes_are_refused(tmp_path: Path) -> None:
    rows = normal_rows(ROWS, INPUTS)
    network = build(lambda: nn.Sequential(nn.Linear(INPUTS, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)))
    published = export(network, rows[:2], store=tmp_path, name="model", rows=rows)

    sentence = refusal(published, rows.numpy(), labels=np.zeros(ROWS, np.int64))

    assert sentence == "labels: expected an output of shape (rows, classes) to compare with, got none"


def test_a_bundle_without_normalization_layers_is_refused(tmp_path: Path) -> None:
    rows = normal_rows(ROWS, INPUTS)
    network = build(lambda: nn.Sequential(nn.Linear(INPUTS, 3), nn.ReLU()))
    published = export(network, rows[:2], store=tmp_path, name="model", rows=rows)

    sentence = refusal(published, rows.numpy())

    assert sentence == "layers: expected a bundle with normalization layers, got one without"


@pytest.mark.parametrize(
    ("unfolded", "sentence"),
    [
        (b"no graph", r"unfolded.onnx: expected an ONNX file with its data beside it: "),
        (draft().model, "norm: expected a normalization node of this name in the graph, got none"),
    ],
    ids=["no file", "another graph"],
)
def test_an_unfolded_graph_that_is_none_is_refused(unfolded: bytes, sentence: str, tmp_path: Path) -> None:
    published = Store(tmp_path).publish(draft(unfolded=unfolded))

    found = refusal(published, given())

    assert found.startswith(sentence)


def test_a_layer_that_takes_no_numbers_is_refused_by_name(tmp_path: Path) -> None:
    def forward(net: Any, x: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
        return net.head(net.norm(torch.exp(x)))  # type: ignore[no-any-return]

    network = build(lambda: Forward(forward, norm=nn.BatchNorm1d(INPUTS), head=nn.Linear(INPUTS, 2)))
    rows = normal_rows(ROWS, INPUTS)
    published = export(network, rows[:2], store=tmp_path, name="model", rows=rows)

    sentence = refusal(published, 1000 * rows.numpy())

    assert sentence == "norm: expected finite values at its input, got NaN or infinity"


@pytest.mark.parametrize("change", [lambda rows: rows, lambda rows: 3 * rows + 1], ids=["alike", "shifted"])
def test_rows_that_can_be_taken_are_refused_by_nothing(
    bundle: Bundle, change: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> None:
    found = recalibrate(bundle, {"input": change(given())})

    assert found.record.rows == ROWS
