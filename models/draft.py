"""This module writes one bundle: what is known of a model before it has a version and a place."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from models.atoms import atoms_to_arrays
from models.bundle import (
    ATOMS_FILE,
    CALIBRATION_FILE,
    MODEL_FILE,
    NORMALIZATION_FILE,
    PARAMETERS_FILE,
    PROBE_FILE,
    SAMPLE_FILE,
    SOURCE_FILE,
    STRINGS,
    UNFOLDED_FILE,
    Arrays,
    Sample,
    sha256,
)
from models.calibration_arrays import to_arrays
from models.durable import write_file
from models.layer_arrays import to_arrays as layer_arrays
from models.layers import NormalizationLayer, TapMap
from models.manifest import (
    FORMAT_VERSION,
    MANIFEST_FILE,
    FileRecord,
    FoldingRecord,
    LayerRecord,
    Manifest,
    NetworkRecord,
    TensorRecord,
    UntrackedRecord,
    VerificationRecord,
)
from models.moving_average import MovingAverage
from models.observing import Observing
from models.recalibration import RecalibrationRecord
from models.strings import pack_strings
from models.training import TrainingRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleDraft:
    """A bundle before it has a version, a place and hashes; the fields are those of the manifest and the files.

    ``unfolded`` is as it is to lie beside the others: what they hold of it already it may read from there.
    """

    name: str
    network: NetworkRecord
    inputs: tuple[TensorRecord, ...]
    outputs: tuple[TensorRecord, ...]
    layers: tuple[LayerRecord, ...]
    folding: FoldingRecord
    verification: VerificationRecord
    model: bytes
    unfolded: bytes
    normalization: tuple[NormalizationLayer, ...]
    sample: Sample
    labels: tuple[str, ...] | None = None
    training: TrainingRecord | None = None
    recalibration: RecalibrationRecord | None = None
    parameters: Arrays | None = None
    source: bytes | None = None
    observing: Observing | None = None
    tap_maps: Mapping[str, TapMap] = field(default_factory=dict)
    moving_averages: Mapping[str, MovingAverage] = field(default_factory=dict)
    untracked: tuple[UntrackedRecord, ...] = ()

    def write(self, directory: Path, *, version: int) -> None:
        """Write the bundle as ``version`` into an existing folder, and see every byte of it to the disk."""
        contents = {
            MODEL_FILE: self.model,
            UNFOLDED_FILE: self.unfolded,
            NORMALIZATION_FILE: pack_arrays(self._of_layers()),
            SAMPLE_FILE: pack_arrays(_plain("inputs", self.sample.inputs) | _plain("outputs", self.sample.outputs)),
        }
        if self.observing is not None:
            contents |= observing_files(self.observing)
        if self.parameters is not None:
            contents[PARAMETERS_FILE] = pack_arrays(self.parameters)
        if self.source is not None:
            contents[SOURCE_FILE] = self.source
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
            untracked=self.untracked,
            folding=self.folding,
            training=self.training,
            recalibration=self.recalibration,
            verification=self.verification,
            files={name: FileRecord(sha256=sha256(data), bytes=len(data)) for name, data in contents.items()},
        )
        for name, data in contents.items():
            write_file(directory / name, data)
        write_file(directory / MANIFEST_FILE, manifest.to_json())

    def _of_layers(self) -> Arrays:
        arrays: Arrays = {}
        for layer in self.normalization:
            arrays |= layer_arrays(layer, self.tap_maps.get(layer.name), self.moving_averages.get(layer.name))
        return arrays


def observing_files(observing: Observing) -> dict[str, bytes]:
    """Those of ``OBSERVING_FILES`` that there are."""
    contents = {PROBE_FILE: observing.probe}
    if observing.atoms:
        contents[ATOMS_FILE] = pack_arrays(atoms_to_arrays(observing.atoms))
    if observing.calibration is not None:
        contents[CALIBRATION_FILE] = pack_arrays(to_arrays(observing.calibration))
    return contents


def pack_arrays(arrays: Arrays) -> bytes:
    """An uncompressed ``.npz`` whose bytes depend on its arrays alone; ``numpy.savez`` keeps some names for itself."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
    return buffer.getvalue()


def _plain(side: str, tensors: Arrays) -> Arrays:
    """Tensors of the sample by the names they have there, each string as bytes and their number."""
    arrays: Arrays = {}
    for name, tensor in tensors.items():
        key = f"{side}/{name}"
        if tensor.dtype == object:
            arrays[key], arrays[f"{STRINGS}{key}"] = pack_strings(tensor)
        else:
            arrays[key] = tensor
    return arrays
