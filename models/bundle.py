"""This module reads one bundle: an exported model version on disk.

    manifest.json        what the bundle is; the one file that vouches for the others
    model.onnx           the folded graph
    normalization.npz    the parameters and statistics of every normalization layer, and what else is known of it
    unfolded.onnx        the graph before folding, its large constants in the files below, where those hold them
    probe.pb             what is added to model.onnx to observe every layer; where there are layers
    atoms.npz            the values that inputs take again and again; where held-out rows have any
    calibration.npz      how scores of unmoved data are distributed; where there were held-out rows
    sample.npz           inputs/<name> and outputs/<name>: a few rows, real if possible, and the network's answers;
                         of strings their lengths, and all their bytes as strings/inputs/<name>

    and what the graph was made from, so that the bundle can be verified again: one of

    parameters.npz       the network's own parameters before folding
    source.onnx          the file that was imported

A reader trusts nothing: every listed file must be there, inside the bundle, with the listed size and hash.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from models.atoms import Atoms, atoms_from_arrays
from models.calibration import Calibration
from models.calibration_arrays import from_arrays
from models.datatypes import DATATYPES
from models.errors import BundleError
from models.layer_arrays import read_layer, read_moving_average, read_tap_map
from models.layers import NormalizationLayer, TapMap
from models.manifest import MANIFEST_FILE, FileRecord, Manifest, TensorRecord, parse_manifest
from models.moving_average import MovingAverage
from models.observed_rows import Columns
from models.strings import unpack_strings

MODEL_FILE = "model.onnx"
NORMALIZATION_FILE = "normalization.npz"
PROBE_FILE = "probe.pb"
ATOMS_FILE = "atoms.npz"
CALIBRATION_FILE = "calibration.npz"
OBSERVING_FILES = (PROBE_FILE, ATOMS_FILE, CALIBRATION_FILE)
SAMPLE_FILE = "sample.npz"
UNFOLDED_FILE = "unfolded.onnx"
PARAMETERS_FILE = "parameters.npz"
SOURCE_FILE = "source.onnx"
STRINGS = "strings/"
"""Before the name of a tensor of strings, what its bytes are called in the sample."""

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Sample:
    """A few real rows and the network's own answers, each a dictionary from tensor name to array ``(rows, ...)``.

    The arrays are held as ``datatypes.py`` says.
    """

    inputs: Arrays
    outputs: Arrays


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle on disk whose manifest was understood and whose files were all found intact."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: Path) -> Bundle:
        """Open a bundle and check every file of it.

        Raises:
            BundleError: If anything is missing, unknown or damaged; the text names the file and the field.
        """
        with _open(path, MANIFEST_FILE) as file:
            manifest = parse_manifest(file.read())
        for required in (MODEL_FILE, NORMALIZATION_FILE, SAMPLE_FILE, UNFOLDED_FILE):
            if required not in manifest.files:
                raise BundleError(f"{MANIFEST_FILE}: files: expected an entry for {required}, got none")
        for name, record in manifest.files.items():
            with _open(path, name) as file:
                _check(file, name, record)
        return cls(path, manifest)

    @property
    def model_path(self) -> Path:
        """Where the folded graph is."""
        return self.path / MODEL_FILE

    @property
    def unfolded_path(self) -> Path:
        """Where the graph before folding is; its normalization nodes are named after their layers."""
        return self.path / UNFOLDED_FILE

    def normalization(self) -> tuple[NormalizationLayer, ...]:
        """Every normalization layer, in the order in which data meets them.

        Raises:
            BundleError: If an array is missing, of the wrong shape, or holds what no statistics can be.
        """
        arrays = self._arrays(NORMALIZATION_FILE)
        with _errors_of(NORMALIZATION_FILE):
            return tuple(read_layer(record, arrays) for record in self.manifest.layers)

    def tap_maps(self) -> dict[str, TapMap]:
        """What the tap of a layer holds of it, by the layer's name, where that is not simply what it took or gave.

        Raises:
            BundleError: If an array is missing, of the wrong shape, or not finite.
        """
        arrays = self._arrays(NORMALIZATION_FILE)
        with _errors_of(NORMALIZATION_FILE):
            return {record.name: read_tap_map(record, arrays) for record in self.manifest.layers if record.tap.mapped}

    def moving_averages(self) -> dict[str, MovingAverage]:
        """What the fit left in a layer, by the layer's name; nothing where that is not known.

        Raises:
            BundleError: If an array is missing, of the wrong shape, or holds what no moving average can be.
        """
        arrays = self._arrays(NORMALIZATION_FILE)
        with _errors_of(NORMALIZATION_FILE):
            found = {record.name: read_moving_average(record, arrays) for record in self.manifest.layers}
        return {name: average for name, average in found.items() if average is not None}

    def columns(self) -> Columns | None:
        """Where a probe tells of which channel, and how to read it; None where there are no layers.

        Raises:
            BundleError: If an array is missing, of the wrong shape, or holds what it can't.
        """
        layers = self.manifest.layers
        return Columns.of(layers, self.normalization(), self.tap_maps(), self.atoms()) if layers else None

    def atoms(self) -> tuple[Atoms, ...]:
        """Of every input that has any, in the order of the inputs.

        Raises:
            BundleError: If an array is missing, unknown, or not what it should be.
        """
        if ATOMS_FILE not in self.manifest.files:
            return ()
        arrays = self._arrays(ATOMS_FILE)
        with _errors_of(ATOMS_FILE):
            return atoms_from_arrays(arrays, self.manifest.inputs)

    def observing_graph(self) -> bytes | None:
        """The folded graph with its probe, an ONNX file; None where the bundle has no probe."""
        if PROBE_FILE not in self.manifest.files:
            return None
        with _open(self.path, MODEL_FILE) as model, _open(self.path, PROBE_FILE) as probe:
            return model.read() + probe.read()

    def calibration(self) -> Calibration | None:
        """How scores of unmoved data are distributed; None where that is not known.

        Raises:
            BundleError: If an array is missing, unknown, of the wrong shape, or not finite.
        """
        if CALIBRATION_FILE not in self.manifest.files:
            return None
        arrays = self._arrays(CALIBRATION_FILE)
        with _errors_of(CALIBRATION_FILE):
            return from_arrays(
                arrays, [*(layer.channels for layer in self.manifest.layers), *(1 for _ in self.atoms())]
            )

    def sample(self) -> Sample:
        """The real rows and their expected outputs.

        Raises:
            BundleError: If the file holds other tensors than the manifest says, or not the same rows of each.
        """
        arrays = self._arrays(SAMPLE_FILE)
        inputs = {t.name: _sample_tensor(arrays, f"inputs/{t.name}", t) for t in self.manifest.inputs}
        outputs = {t.name: _sample_tensor(arrays, f"outputs/{t.name}", t) for t in self.manifest.outputs}
        if arrays:
            raise BundleError(f"{SAMPLE_FILE}: {min(arrays)}: the manifest has no such tensor")
        tensors = {f"inputs/{n}": t for n, t in inputs.items()} | {f"outputs/{n}": t for n, t in outputs.items()}
        rows = {key: tensor.shape[:1] for key, tensor in tensors.items()}
        if len(set(rows.values())) != 1:
            raise BundleError(f"{SAMPLE_FILE}: expected the same number of rows in each tensor, got {rows}")
        return Sample(inputs, outputs)

    def parameters(self) -> Arrays:
        """The network's parameters before folding, keyed as the network names them.

        Raises:
            BundleError: If the bundle was published without them.
        """
        if PARAMETERS_FILE not in self.manifest.files:
            raise BundleError(f"{PARAMETERS_FILE}: this bundle was published without its network's parameters")
        return self._arrays(PARAMETERS_FILE)

    def source(self) -> bytes:
        """The ONNX file that was imported, as it came.

        Raises:
            BundleError: If the bundle was not made from one.
        """
        if SOURCE_FILE not in self.manifest.files:
            raise BundleError(f"{SOURCE_FILE}: this bundle was not imported from an ONNX file")
        with _open(self.path, SOURCE_FILE) as file:
            return file.read()

    def _arrays(self, name: str) -> Arrays:
        with _open(self.path, name) as file:
            try:
                with np.load(file, allow_pickle=False) as archive:
                    members = {key: archive[key] for key in archive.files}
            except Exception as error:  # numpy and zipfile raise a dozen kinds for what is no such archive
                raise BundleError(f"{name}: expected an archive of plain arrays: {error}") from error
        for key, member in members.items():
            if not isinstance(member, np.ndarray):
                raise BundleError(f"{name}: expected arrays alone, {key!r} is none")
        return members


def sha256(data: bytes) -> str:
    """SHA-256 of bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _open(directory: Path, name: str) -> BinaryIO:
    """Open a file of a bundle: one that is inside it, and a file, not what a read could hang on."""
    path = directory / name
    try:
        inside = path.resolve().is_relative_to(directory.resolve())
        # without O_NONBLOCK a pipe in the place of a file would be waited on for ever
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK) if inside else None
    except (OSError, RuntimeError, ValueError) as error:  # also for links in a circle, and names with a NUL
        raise BundleError(f"{name}: expected a file that can be read: {_cause(error)}") from error
    if descriptor is None:
        raise BundleError(f"{MANIFEST_FILE}: files: expected paths inside the bundle, got {name!r}")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BundleError(f"{name}: expected a file that can be read, got something else")
    return os.fdopen(descriptor, "rb")


def _cause(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _check(file: BinaryIO, name: str, record: FileRecord) -> None:
    size = os.fstat(file.fileno()).st_size
    if size != record.bytes:
        raise BundleError(f"{name}: expected {record.bytes} bytes, got {size}")
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    if digest != record.sha256:
        raise BundleError(f"{name}: sha256: expected {record.sha256}, got {digest}")


@contextlib.contextmanager
def _errors_of(file: str) -> Iterator[None]:
    """Say of what is wrong with arrays in which file they are."""
    try:
        yield
    except ValueError as error:
        raise BundleError(f"{file}: {error}") from error


def _sample_tensor(arrays: Arrays, key: str, record: TensorRecord) -> NDArray[Any]:
    array = _take(arrays, SAMPLE_FILE, key)
    del arrays[key]
    if record.datatype == "BYTES":
        array = _strings(arrays, key, array)
    if not record.accepts(array.shape):
        raise BundleError(f"{SAMPLE_FILE}: {key}: expected shape {list(record.shape)}, got {list(array.shape)}")
    if array.dtype != DATATYPES[record.datatype]:
        raise BundleError(f"{SAMPLE_FILE}: {key}: expected {record.datatype}, got {array.dtype}")
    return array


def _strings(arrays: Arrays, key: str, lengths: NDArray[Any]) -> NDArray[Any]:
    content = _take(arrays, SAMPLE_FILE, f"{STRINGS}{key}")
    del arrays[f"{STRINGS}{key}"]
    try:
        return unpack_strings(lengths, content)
    except ValueError as error:
        raise BundleError(f"{SAMPLE_FILE}: {key}: {error}") from error


def _take(arrays: Arrays, file: str, key: str) -> NDArray[Any]:
    if key not in arrays:
        raise BundleError(f"{file}: expected an array {key!r}, got none")
    return arrays[key]
