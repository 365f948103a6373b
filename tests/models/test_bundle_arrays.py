"""This module tests what is refused behind the hashes: files that the manifest vouches for, but that hold nonsense."""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.bundle import NORMALIZATION_FILE, PARAMETERS_FILE, SAMPLE_FILE, Bundle
from models.errors import BundleError
from tests.damage import change_manifest, packed, replace_arrays, replace_file

Damage = Callable[[Path], None]
"""What does something to the bundle in a folder that has no business there."""


def normalization(key: str, array: NDArray[Any] | None) -> Damage:
    """Replace one array of the normalization layer, or take it away."""

    def damage(path: Path) -> None:
        replace_arrays(path, NORMALIZATION_FILE, lambda a: a.pop(key) if array is None else a.update({key: array}))

    return damage


GAMMA, BETA, MEAN, VARIANCE = "norm/gamma", "norm/beta", "norm/running_mean", "norm/running_var"


@pytest.mark.parametrize(
    ("damage", "field", "problem"),
    [
        *(
            pytest.param(normalization(key, None), f"'{key}'", "expected an array", id=f"no {key}")
            for key in (GAMMA, BETA, MEAN, VARIANCE)
        ),
        *(
            pytest.param(normalization(key, np.ones(4)), f"{key}:", "of shape (3,), got", id=f"long {key}")
            for key in (GAMMA, BETA, MEAN, VARIANCE)
        ),
        pytest.param(normalization(GAMMA, np.ones((3, 1))), f"{GAMMA}:", "got float64 of shape (3, 1)", id="matrix"),
        pytest.param(normalization(BETA, np.array(1.0)), f"{BETA}:", "got float64 of shape ()", id="scalar"),
        pytest.param(normalization(MEAN, np.ones(3, np.float32)), f"{MEAN}:", "got float32", id="single precision"),
        pytest.param(normalization(MEAN, np.ones(3, np.int64)), f"{MEAN}:", "got int64", id="integers"),
        pytest.param(normalization(MEAN, np.array(["a", "b", "c"])), f"{MEAN}:", "got <U1", id="text"),
        pytest.param(
            normalization(VARIANCE, np.array([1.0, -0.5, 1.0])),
            "norm.running_var:",
            "expected no negative variance, got -0.5",
            id="negative variance",
        ),
        *(
            pytest.param(
                normalization(key, np.array([1.0, value, 1.0])), "norm", "expected finite", id=f"{value} in {key}"
            )
            for key in (GAMMA, BETA, MEAN, VARIANCE)
            for value in (np.nan, np.inf)
        ),
    ],
)
def test_statistics_that_no_layer_can_have_are_named(
    bundle_path: Path, damage: Damage, field: str, problem: str
) -> None:
    damage(bundle_path)
    bundle = Bundle.open(bundle_path)

    with pytest.raises(BundleError) as caught:
        bundle.normalization()

    message = str(caught.value)
    assert message.startswith(f"{NORMALIZATION_FILE}: ")
    assert field in message
    assert problem in message


def test_a_zero_variance_without_eps_is_named(bundle_path: Path) -> None:
    replace_arrays(bundle_path, NORMALIZATION_FILE, lambda arrays: arrays.update({VARIANCE: np.zeros(3)}))
    change_manifest(bundle_path, lambda manifest: manifest["layers"][0].update(eps=0))
    bundle = Bundle.open(bundle_path)

    with pytest.raises(BundleError) as caught:
        bundle.normalization()

    assert (
        str(caught.value) == f"{NORMALIZATION_FILE}: norm.eps: expected running_var + eps above 0 and finite, got eps 0"
    )


@pytest.mark.parametrize("key", ["inputs/x", "outputs/logits"])
def test_a_sample_without_a_tensor_is_refused(bundle_path: Path, key: str) -> None:
    replace_arrays(bundle_path, SAMPLE_FILE, lambda arrays: arrays.pop(key))
    bundle = Bundle.open(bundle_path)

    with pytest.raises(BundleError) as caught:
        bundle.sample()

    assert str(caught.value) == f"{SAMPLE_FILE}: expected an array '{key}', got none"


@pytest.mark.parametrize(
    ("key", "array"),
    [
        pytest.param("inputs/y", np.ones((5, 4), np.float32), id="unknown input"),
        pytest.param("outputs/y", np.ones((5, 4), np.float32), id="unknown output"),
        pytest.param("inputs/x", np.ones((5, 3), np.float32), id="other shape"),
        pytest.param("inputs/x", np.ones(4, np.float32), id="no rows"),
        pytest.param("outputs/logits", np.ones((5, 2), np.float64), id="other datatype"),
    ],
)
def test_a_sample_of_other_tensors_than_the_manifest_says_is_refused(
    bundle_path: Path, key: str, array: NDArray[Any]
) -> None:
    replace_arrays(bundle_path, SAMPLE_FILE, lambda arrays: arrays.update({key: array}))
    bundle = Bundle.open(bundle_path)

    with pytest.raises(BundleError) as caught:
        bundle.sample()

    assert str(caught.value).startswith(f"{SAMPLE_FILE}: ")
    assert key in str(caught.value)


WORDS = {"inputs/x": np.ones((5, 4), np.uint32), "strings/inputs/x": np.zeros(20, np.uint8)}


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        pytest.param({**WORDS, "inputs/x": np.ones((5, 4), np.int64)}, "expected lengths in uint32", id="lengths"),
        pytest.param({**WORDS, "strings/inputs/x": np.zeros(20, np.int8)}, "bytes in uint8", id="bytes"),
        pytest.param({**WORDS, "strings/inputs/x": np.zeros((5, 4), np.uint8)}, "of one dimension", id="dimensions"),
        pytest.param({**WORDS, "strings/inputs/x": np.zeros(19, np.uint8)}, "expected 20 bytes", id="too few"),
        pytest.param({**WORDS, "strings/inputs/x": np.zeros(21, np.uint8)}, "expected 20 bytes", id="too many"),
        pytest.param({"inputs/x": WORDS["inputs/x"]}, "expected an array 'strings/inputs/x'", id="none"),
        pytest.param({**WORDS, "strings/x": np.zeros(1, np.uint8)}, "has no such tensor", id="unknown"),
        pytest.param(
            {**WORDS, "inputs/x": np.full((5, 4), 2**32 - 1, np.uint32)}, "expected 85899345900 bytes", id="beyond"
        ),
    ],
)
def test_a_sample_of_damaged_strings_is_refused(
    bundle_path: Path, arrays: dict[str, NDArray[Any]], problem: str
) -> None:
    change_manifest(bundle_path, lambda manifest: manifest["inputs"][0].update(datatype="BYTES"))
    replace_arrays(bundle_path, SAMPLE_FILE, lambda found: found.update(arrays))
    bundle = Bundle.open(bundle_path)

    with pytest.raises(BundleError) as caught:
        bundle.sample()

    assert str(caught.value).startswith(f"{SAMPLE_FILE}: ")
    assert problem in str(caught.value)


def test_a_sample_that_answers_other_rows_than_it_asks_is_refused(bundle_path: Path) -> None:
    replace_arrays(bundle_path, SAMPLE_FILE, lambda arrays: arrays.update({"outputs/logits": np.ones((4, 2), "f4")}))
    bundle = Bundle.open(bundle_path)

    with pytest.raises(BundleError) as caught:
        bundle.sample()

    assert str(caught.value).startswith(f"{SAMPLE_FILE}: ")


class Payload:
    """What makes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.canary,)


def pickled_array(payload: Payload) -> bytes:
    return packed({GAMMA: np.array([payload], dtype=object)})


@pytest.mark.parametrize("pack", [pickled_array, pickle.dumps], ids=["pickled array", "pickle"])
@pytest.mark.parametrize(
    ("name", "read"),
    [(NORMALIZATION_FILE, Bundle.normalization), (SAMPLE_FILE, Bundle.sample), (PARAMETERS_FILE, Bundle.parameters)],
    ids=[NORMALIZATION_FILE, SAMPLE_FILE, PARAMETERS_FILE],
)
def test_pickles_are_refused_and_never_run(
    bundle_path: Path, tmp_path: Path, pack: Callable[[Payload], bytes], name: str, read: Callable[[Bundle], object]
) -> None:
    canary = tmp_path / "canary"
    replace_file(bundle_path, name, pack(Payload(canary)))
    bundle = Bundle.open(bundle_path)

    with pytest.raises(BundleError) as caught:
        read(bundle)

    assert str(caught.value).startswith(f"{name}: expected an archive of plain arrays: ")
    assert not canary.exists()


def plain_array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ones(3))
    return buffer.getvalue()


def archive_of_text() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for key in (GAMMA, BETA, MEAN, VARIANCE):
            archive.writestr(key, "no array")
    return buffer.getvalue()


def damaged_archive(*, compressed: bool, start: bytes, offset: int) -> bytes:
    """An archive with its byte ``offset`` behind the first ``start`` replaced."""
    buffer = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez
    save(buffer, gamma=np.arange(1000.0))
    data = bytearray(buffer.getvalue())
    data[data.index(start) + offset] ^= 0xFF
    return bytes(data)


LOCAL_HEADER, CENTRAL_HEADER = b"PK\x03\x04", b"PK\x01\x02"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"no archive", id="text"),
        pytest.param(damaged_archive(compressed=False, start=b"NUMPY", offset=200), id="wrong checksum"),
        pytest.param(damaged_archive(compressed=False, start=b"NUMPY", offset=0), id="not numpy's"),
        pytest.param(damaged_archive(compressed=False, start=b"'descr'", offset=2), id="wrong header"),
        pytest.param(
            damaged_archive(compressed=False, start=b"NUMPY", offset=0)[:-30],
            id="cut off",
        ),
        pytest.param(b"", id="empty"),
        pytest.param(plain_array(), id="array"),
        pytest.param(archive_of_text(), id="texts"),
        pytest.param(
            damaged_archive(compressed=True, start=b"gamma.npy", offset=40),
            id="damaged stream",
        ),
        pytest.param(
            damaged_archive(compressed=False, start=CENTRAL_HEADER, offset=6),
            id="newer zip",
        ),
        pytest.param(
            damaged_archive(compressed=False, start=CENTRAL_HEADER, offset=8),
            id="encrypted",
        ),
    ],
)
def test_what_is_no_archive_of_arrays_is_refused(bundle_path: Path, data: bytes) -> None:
    replace_file(bundle_path, NORMALIZATION_FILE, data)
    bundle = Bundle.open(bundle_path)

    with pytest.raises(BundleError) as caught:
        bundle.normalization()

    assert str(caught.value).startswith(f"{NORMALIZATION_FILE}: expected ")
