"""``bntrain recalibrate``, and what is published by it: it can be verified again, whatever it was made from."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from sklearn.datasets import load_digits
from torch import nn

from folding.recalibration import recalibrate
from models.bundle import Bundle
from models.store import Store
from tests.folding.reestimation import reestimated
from tests.training.examples import build, relative_error
from tests.training.onnx_files import by_torch, images, random, run_file, save
from training.__main__ import main
from training.import_onnx import import_onnx
from training.verify_bundle import verify_bundle

TOLERANCE = 1e-4
"""As in tests/folding/test_recalibration.py."""


@pytest.fixture
def copied(short_store: Store, tmp_path: Path) -> Store:
    """A store with one version of the short recipe, which a test may add to."""
    store = Store(tmp_path / "store")
    source = short_store.open("digits-mlp", 1).path
    target = store.bundle_path("digits-mlp", 1)
    target.mkdir(parents=True)
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return store


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Digits that are brighter than those of the recipe, and what they are."""
    digits = load_digits()
    pixels = (digits.images[:200, None] * 0.5 + 6).astype(np.float32)
    np.savez(tmp_path / "rows.npz", image=pixels, digit=digits.target[:200])
    return tmp_path / "rows.npz"


def test_the_command_publishes_the_next_version_which_is_not_the_default(
    copied: Store, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["recalibrate", str(copied.bundle_path("digits-mlp", 1)), str(rows), "--labels", "digit"])

    printed = capsys.readouterr()
    record = copied.open("digits-mlp", 2).manifest.recalibration
    assert (code, printed.err) == (0, "")
    assert (copied.versions("digits-mlp"), copied.pins("digits-mlp")) == ([1, 2], (1,))
    assert record is not None
    assert (record.source_version, record.rows, record.prior_rows, record.data) == (1, 200, 0, "rows.npz")
    assert record.proof == "parameters.npz"
    assert re.search(r"^  hidden\.1 +\d\.\d{3} +\d\.\d{3} +\d\.\d{3}", printed.out, re.MULTILINE)
    assert re.search(r"^logits: accuracy 0\.\d{4} before, 0\.\d{4} after$", printed.out, re.MULTILINE)
    assert printed.out.splitlines()[-1].startswith(f"published {copied.bundle_path('digits-mlp', 2)}; ")


@pytest.mark.parametrize("given", ["store/digits-mlp/1", "./store/digits-mlp/1/"])
def test_what_was_published_is_told_as_the_store_was_given(
    given: str, copied: Store, rows: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(copied.root.parent)

    code = main(["recalibrate", given, str(rows), "--labels", "digit"])

    assert code == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("published store/digits-mlp/2; ")


def test_a_version_may_be_given_from_inside_its_store(
    copied: Store, rows: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(copied.root / "digits-mlp")

    code = main(["recalibrate", "1", str(rows), "--labels", "digit"])

    assert (code, copied.versions("digits-mlp")) == (0, [1, 2])
    assert capsys.readouterr().out.splitlines()[-1].startswith("published /")


def test_statistics_that_fit_make_up_for_a_shift(copied: Store, rows: Path) -> None:
    bundle = copied.open("digits-mlp", 1)
    arrays = np.load(rows)

    made = recalibrate(bundle, {"image": arrays["image"]}, labels=arrays["digit"])

    predictions = made.record.outputs[0].predictions
    assert predictions is not None
    assert predictions.accuracy_before is not None
    assert predictions.accuracy_after is not None
    assert predictions.accuracy_after > predictions.accuracy_before


def test_a_dry_run_reports_and_publishes_nothing(copied: Store, rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version = str(copied.bundle_path("digits-mlp", 1))

    code = main(["recalibrate", version, str(rows), "--labels", "digit", "--dry-run", "--prior-rows", "100"])

    assert code == 0
    assert (copied.versions("digits-mlp"), copied.pins("digits-mlp")) == ([1], ())
    assert "from version 1, 200 rows of rows.npz, and a prior of 100" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{store}/digits-mlp/1", "{rows}"], r"rows: expected the arrays \['image'\], got \['digit', 'image'\]"),
        (["{store}/digits-mlp/1", "{rows}", "--labels", "y"], r"--labels: expected one of the arrays .+, got 'y'"),
        (["{store}/digits-mlp/7", "{rows}"], r"digits-mlp: expected one of the versions \[1\], got 7"),
        (["{store}/digits-mlp", "{rows}"], r"\S+/digits-mlp: expected STORE/MODEL/VERSION, .+"),
        (["{store}/digits-mlp/1", "none.npz"], r"none\.npz: expected an \.npz file of plain arrays: .+"),
        (["{store}/digits-mlp/1", "{rows}", "--labels", "digit", "--batch-rows", "0"], r"prior_rows, batch_rows: .+"),
    ],
    ids=["labels among the rows", "no such labels", "no such version", "no version", "no file", "no batch"],
)
def test_what_can_t_be_recalibrated_is_one_sentence_and_publishes_nothing(
    arguments: list[str], sentence: str, copied: Store, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["recalibrate", *(argument.format(store=copied.root, rows=rows) for argument in arguments)])

    assert code == 1
    assert re.fullmatch(rf"bntrain: {sentence}\n", capsys.readouterr().err)
    assert copied.versions("digits-mlp") == [1]


def test_a_recalibrated_network_is_verified_in_torch_by_its_new_parameters(copied: Store, rows: Path) -> None:
    made = recalibrate(copied.open("digits-mlp", 1), {"image": np.load(rows)["image"]})

    bundle = copied.publish_candidate(made.draft)

    assert verify_bundle(bundle).reference.startswith("torch")


def classifier() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 64, 5),
        nn.BatchNorm1d(5),
    )


@pytest.mark.parametrize("opset", [9, 17, 18])
def test_an_imported_file_is_recalibrated_and_verified_like_a_network(opset: int, tmp_path: Path) -> None:
    network, given = build(classifier), 2 * random(40, 3, 8, 8, seed=3) + 1
    file = save(by_torch(network, 2, 3, 8, 8, opset=opset, any_batch=True), tmp_path / "given.onnx")
    store = Store(tmp_path / "store")
    bundle = import_onnx(file, store=store, name="imported")

    made = recalibrate(bundle, {"image": given}, force=True)
    found = store.publish_candidate(made.draft)

    expected = reestimated(network, [torch.from_numpy(given)])
    with torch.no_grad():
        wanted = expected(torch.from_numpy(given)).numpy()
    assert made.record.proof == "source.onnx"
    assert relative_error(run_file(onnx.load(found.model_path), given), wanted) <= TOLERANCE
    assert relative_error(run_file(onnx.load_from_string(found.source()), given), wanted) <= TOLERANCE
    assert "the imported file" in verify_bundle(found).reference


def test_an_imported_file_that_computes_its_statistics_is_verified_by_its_unfolded_graph(tmp_path: Path) -> None:
    file = images()
    norm = next(node for node in file.graph.node if node.op_type == "BatchNormalization")
    variance = next(tensor for tensor in file.graph.initializer if tensor.name == norm.input[4])
    deviation = np.sqrt(numpy_helper.to_array(variance))
    variance.CopyFrom(numpy_helper.from_array(deviation, "deviation"))
    at = list(file.graph.node).index(norm)
    nodes = [*file.graph.node[:at], helper.make_node("Mul", ["deviation", "deviation"], [norm.input[4]]), norm]
    nodes += file.graph.node[at + 1 :]
    copied = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del file.graph.node[:]
    file.graph.node.extend(copied)
    store = Store(tmp_path / "store")
    bundle = import_onnx(save(file, tmp_path / "given.onnx"), store=store, name="imported")
    (record,) = bundle.manifest.inputs

    made = recalibrate(bundle, {record.name: 2 * random(40, *record.shape[1:], seed=3)}, force=True)
    found = store.publish_candidate(made.draft)

    assert made.record.proof == "unfolded.onnx"
    assert {"parameters.npz", "source.onnx"} & found.manifest.files.keys() == set()
    assert "unfolded" in verify_bundle(found).reference


def test_a_bundle_is_what_its_unfolded_graph_says_where_it_lies(short: Bundle) -> None:
    given = short.sample()

    found = run_file(onnx.load(short.unfolded_path), given.inputs["image"])

    assert relative_error(found, given.outputs["logits"]) <= TOLERANCE
