from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.bundle import (
    CALIBRATION_FILE,
    MODEL_FILE,
    NORMALIZATION_FILE,
    PARAMETERS_FILE,
    PROBE_FILE,
    SAMPLE_FILE,
    UNFOLDED_FILE,
    Arrays,
    Bundle,
    Sample,
)
from models.datatypes import Datatype
from models.manifest import TensorRecord
from tests.drafts import draft

FILES = (
    MODEL_FILE,
    UNFOLDED_FILE,
    NORMALIZATION_FILE,
    PROBE_FILE,
    CALIBRATION_FILE,
    SAMPLE_FILE,
    PARAMETERS_FILE,
)


def test_every_array_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = draft(seed=3)
    written.write(tmp_path, version=1)

    bundle = Bundle.open(tmp_path)

    (layer,), (expected,) = bundle.normalization(), written.normalization
    assert (layer.name, layer.eps) == (expected.name, expected.eps)
    for field in ("gamma", "beta", "mean", "variance"):
        np.testing.assert_array_equal(getattr(layer, field), getattr(expected, field), strict=True)
    assert_same_arrays(bundle.sample().inputs, written.sample.inputs)
    assert_same_arrays(bundle.sample().outputs, written.sample.outputs)
    assert_same_arrays(bundle.parameters(), written.parameters or {})


def test_arrays_of_any_shape_and_type_are_read_as_they_were_written(tmp_path: Path) -> None:
    arrays: Arrays = {
        "scalar": np.array(3.5),
        "empty": np.zeros((0, 4), dtype=np.float32),
        "half": np.arange(6, dtype=np.float16).reshape(1, 2, 3),
        "whole": np.array([-(2**63), 2**63 - 1]),
        "truth": np.array([True, False]),
        "columns/first": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "every/second": np.arange(10.0)[::2],
    }
    draft(parameters=arrays).write(tmp_path, version=1)

    parameters = Bundle.open(tmp_path).parameters()

    assert_same_arrays(parameters, arrays)


def test_the_manifest_says_what_the_draft_said(tmp_path: Path) -> None:
    written = draft()
    written.write(tmp_path, version=12)

    manifest = Bundle.open(tmp_path).manifest

    assert (manifest.name, manifest.version) == ("tiny", 12)
    for field in ("network", "inputs", "outputs", "labels", "layers", "training", "recalibration", "verification"):
        assert getattr(manifest, field) == getattr(written, field)
    assert set(manifest.files) == set(FILES)


def test_the_graph_is_written_byte_by_byte(tmp_path: Path) -> None:
    written = draft()
    written.write(tmp_path, version=1)

    model = Bundle.open(tmp_path).model_path.read_bytes()

    assert model == written.model


def test_layers_are_read_in_the_order_of_the_manifest(tmp_path: Path) -> None:
    tiny = draft()
    names = ("norm.2", "norm.10", "norm.1")
    draft(
        layers=tuple(tiny.layers[0].model_copy(update={"name": name}) for name in names),
        normalization=tuple(replace(tiny.normalization[0], name=name) for name in sorted(names)),
    ).write(tmp_path, version=1)

    layers = Bundle.open(tmp_path).normalization()

    assert tuple(layer.name for layer in layers) == names


def test_a_bundle_without_normalization_layers_is_read(tmp_path: Path) -> None:
    draft(layers=(), normalization=()).write(tmp_path, version=1)

    layers = Bundle.open(tmp_path).normalization()

    assert layers == ()


def test_a_bundle_is_never_written_over_another(bundle_path: Path) -> None:
    before = {file.name: file.read_bytes() for file in bundle_path.iterdir()}

    with pytest.raises(FileExistsError):
        draft(seed=1).write(bundle_path, version=1)

    assert {file.name: file.read_bytes() for file in bundle_path.iterdir()} == before


def test_a_bundle_behind_a_link_is_read(bundle_path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(bundle_path)

    bundle = read_everything(link)

    assert bundle.path == link


def test_files_that_the_manifest_does_not_list_are_left_alone(bundle_path: Path) -> None:
    (bundle_path / "notes.txt").write_text("not part of it")

    bundle = read_everything(bundle_path)

    assert "notes.txt" not in bundle.manifest.files


def test_a_sample_may_have_tensors_of_any_name(tmp_path: Path) -> None:
    tiny = draft()
    rows = np.ones((5, 4), np.float32)
    named = tiny.inputs[0].model_copy(update={"name": "a/b.npy"})
    sample = Sample({"a/b.npy": rows}, tiny.sample.outputs)
    draft(inputs=(named,), sample=sample).write(tmp_path, version=1)

    read = Bundle.open(tmp_path).sample()

    assert_same_arrays(read.inputs, {"a/b.npy": rows})


@pytest.mark.parametrize("shape", [(4,), (4, 1), (2, 2)])
def test_a_sample_may_hold_strings_of_any_content(tmp_path: Path, shape: tuple[int, ...]) -> None:
    words = np.empty(4, object)
    words[:] = [b"a\0\0", b"", "\u20ac".encode(), b"\xff"]
    words = words.reshape(shape)
    write_sample(tmp_path, "BYTES", words)

    read = Bundle.open(tmp_path).sample()

    assert_same_arrays(read.inputs, {"x": words})
    assert_same_arrays(read.outputs, {"y": words})


def test_a_sample_may_hold_no_string_at_all(tmp_path: Path) -> None:
    words = np.empty((3, 0), object)
    write_sample(tmp_path, "BYTES", words)

    read = Bundle.open(tmp_path).sample()

    assert_same_arrays(read.inputs, {"x": words})


@pytest.mark.parametrize(("datatype", "dtype"), [("FP16", np.float16), ("BF16", np.uint16)])
def test_a_sample_may_be_of_half_precision(tmp_path: Path, datatype: Datatype, dtype: type) -> None:
    halves: NDArray[Any] = np.arange(6).astype(dtype).reshape(3, 2)
    write_sample(tmp_path, datatype, halves)

    read = Bundle.open(tmp_path).sample()

    assert_same_arrays(read.inputs, {"x": halves})


def write_sample(path: Path, datatype: Datatype, rows: NDArray[Any]) -> None:
    """A bundle whose one input and one output are both of a datatype, and hold the same rows."""
    shape = (-1, *rows.shape[1:])
    draft(
        inputs=(TensorRecord(name="x", datatype=datatype, shape=shape),),
        outputs=(TensorRecord(name="y", datatype=datatype, shape=shape),),
        sample=Sample({"x": rows}, {"y": rows}),
    ).write(path, version=1)


def assert_same_arrays(found: Arrays, expected: Arrays) -> None:
    assert list(found) == list(expected)
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key], array, strict=True)


def read_everything(path: Path) -> Bundle:
    bundle = Bundle.open(path)
    bundle.normalization()
    bundle.sample()
    bundle.parameters()
    return bundle
