"""This module reads and writes one bundle: an exported model version on disk.

    manifest.json        what the bundle is; the one file that vouches for the others
    model.onnx           the folded graph
    normalization.npz    <layer>/gamma, beta, running_mean, running_var of every normalization layer
    sample.npz           inputs/<name> and outputs/<name>: a few real rows, and what the network answers for them
    parameters.npz       the network's own parameters before folding, so that the bundle can be verified again

A reader trusts nothing: every listed file must be there, inside the bundle, with the listed size and hash.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from models.datatypes import DATATYPES
from models.errors import BundleError
from models.layers import NormalizationLayer
from models.manifest import (
    FORMAT_VERSION,
    MANIFEST_FILE,
    FileRecord,
    LayerRecord,
    Manifest,
    NetworkRecord,
    TensorRecord,
    TrainingRecord,
    VerificationRecord,
    parse_manifest,
)

MODEL_FILE = "model.onnx"
NORMALIZATION_FILE = "normalization.npz"
SAMPLE_FILE = "sample.npz"
PARAMETERS_FILE = "parameters.npz"

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Sample:
    """A few real rows and the network's own answers, each a dictionary from tensor name to array ``(rows, ...)``."""

    inputs: Arrays
    outputs: Arrays


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleDraft:
    """A bundle before it has a version, a place and hashes; the fields are those of the manifest and the files."""

    name: str
    network: NetworkRecord
    inputs: tuple[TensorRecord, ...]
    outputs: tuple[TensorRecord, ...]
    labels: tuple[str, ...] | None
    layers: tuple[LayerRecord, ...]
    training: TrainingRecord | None
    verification: VerificationRecord
    model: bytes
    normalization: tuple[NormalizationLayer, ...]
    sample: Sample
    parameters: Arrays

    def write(self, directory: Path, *, version: int) -> None:
        """Write the bundle as ``version`` into an existing folder, and see every byte of it to the disk."""
        contents = {
            MODEL_FILE: self.model,
            NORMALIZATION_FILE: _pack({k: v for layer in self.normalization for k, v in _layer_arrays(layer)}),
            SAMPLE_FILE: _pack(
                {f"inputs/{name}": array for name, array in self.sample.inputs.items()}
                | {f"outputs/{name}": array for name, array in self.sample.outputs.items()}
            ),
            PARAMETERS_FILE: _pack(self.parameters),
        }
        manifest = Manifest(
            format_version=FORMAT_VERSION,
            name=self.name,
            version=version,
            created=datetime.now(UTC).replace(microsecond=0),
            network=self.network,
            inputs=self.inputs,
            outputs=self.outputs,
            labels=self.labels,
            layers=self.layers,
            training=self.training,
            verification=self.verification,
            files={name: FileRecord(sha256=sha256(data), bytes=len(data)) for name, data in contents.items()},
        )
        for name, data in contents.items():
            write_file(directory / name, data)
        write_file(directory / MANIFEST_FILE, manifest.to_json())


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
        for required in (MODEL_FILE, NORMALIZATION_FILE, SAMPLE_FILE):
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

    def normalization(self) -> tuple[NormalizationLayer, ...]:
        """Every normalization layer, in the order in which data meets them.

        Raises:
            BundleError: If an array is missing, of the wrong shape, or holds what no statistics can be.
        """
        arrays = self._arrays(NORMALIZATION_FILE)
        return tuple(_layer(record, arrays) for record in self.manifest.layers)

    def sample(self) -> Sample:
        """The real rows and their expected outputs.

        Raises:
            BundleError: If the file holds other tensors than the manifest says, or not the same rows of each.
        """
        arrays = self._arrays(SAMPLE_FILE)
        inputs = {t.name: _sample_tensor(arrays, f"inputs/{t.name}", t) for t in self.manifest.inputs}
        outputs = {t.name: _sample_tensor(arrays, f"outputs/{t.name}", t) for t in self.manifest.outputs}
        if unknown := sorted(arrays.keys() - {f"inputs/{n}" for n in inputs} - {f"outputs/{n}" for n in outputs}):
            raise BundleError(f"{SAMPLE_FILE}: {unknown[0]}: the manifest has no such tensor")
        rows = {name: array.shape[:1] for name, array in arrays.items()}
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


def write_file(path: Path, data: bytes) -> None:
    """Write a new file and wait until the disk has it."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


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


def _pack(arrays: Arrays) -> bytes:
    """An ``.npz`` whose bytes depend on the arrays alone; ``numpy.savez`` reserves some names for itself."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
    return buffer.getvalue()


def _layer_arrays(layer: NormalizationLayer) -> list[tuple[str, NDArray[Any]]]:
    return [
        (f"{layer.name}/gamma", layer.gamma),
        (f"{layer.name}/beta", layer.beta),
        (f"{layer.name}/running_mean", layer.mean),
        (f"{layer.name}/running_var", layer.variance),
    ]


def _layer(record: LayerRecord, arrays: Arrays) -> NormalizationLayer:
    def array(field: str) -> NDArray[np.float64]:
        values = _take(arrays, NORMALIZATION_FILE, f"{record.name}/{field}")
        if values.shape != (record.channels,) or values.dtype != np.float64:
            raise BundleError(
                f"{NORMALIZATION_FILE}: {record.name}/{field}: expected float64 of shape ({record.channels},), "
                f"got {values.dtype} of shape {values.shape}"
            )
        return values

    try:
        return NormalizationLayer(
            name=record.name,
            eps=record.eps,
            gamma=array("gamma"),
            beta=array("beta"),
            mean=array("running_mean"),
            variance=array("running_var"),
        )
    except ValueError as error:
        raise BundleError(f"{NORMALIZATION_FILE}: {error}") from error


def _sample_tensor(arrays: Arrays, key: str, record: TensorRecord) -> NDArray[Any]:
    array = _take(arrays, SAMPLE_FILE, key)
    if not record.accepts(array.shape):
        raise BundleError(f"{SAMPLE_FILE}: {key}: expected shape {list(record.shape)}, got {list(array.shape)}")
    if array.dtype != DATATYPES[record.datatype]:
        raise BundleError(f"{SAMPLE_FILE}: {key}: expected {record.datatype}, got {array.dtype}")
    return array


def _take(arrays: Arrays, file: str, key: str) -> NDArray[Any]:
    if key not in arrays:
        raise BundleError(f"{file}: expected an array {key!r}, got none")
    return arrays[key]
