"""This module describes one bundle: the manifest, ``manifest.json``, field by field.

Whatever is not declared here is refused, so that a reader never guesses. A change that an older reader could
misunderstand raises ``FORMAT_VERSION``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
    model_validator,
)

from models.datatypes import Datatype
from models.errors import BundleError
from models.normalization import Normalization
from models.recalibration import RecalibrationRecord
from models.record import Arguments, Record, Sha256
from models.training import TrainingRecord

FORMAT_VERSION: Final = 3
MANIFEST_FILE = "manifest.json"
SHOWN_CHARACTERS = 80

Placement = Literal["folded-backward", "folded-forward", "split", "affine", "kept"]
"""What became of a normalization layer: merged into the weights before it, into those after it, into those of several
branches before it, turned into a product or a sum or both, or left as a node of its own."""

FoldMode = Literal["fast", "complete"]
"""How far a graph was folded: as far as it gets faster under ONNX Runtime, or as far as there is an exact form."""

MODEL_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"


ModelName = Annotated[str, StringConstraints(pattern=MODEL_NAME_PATTERN)]
Size = Annotated[int, Field(ge=-1)]


class TensorRecord(Record):
    """One input or output of the graph; -1 stands for a dimension that varies, the first one is the batch."""

    name: str
    datatype: Datatype
    shape: Annotated[tuple[Size, ...], Field(min_length=1)]

    def accepts(self, shape: Sequence[int]) -> bool:
        """Whether a tensor of a shape is one of this record's."""
        same_rank = len(shape) == len(self.shape)
        return same_rank and all(size in (-1, got) for size, got in zip(self.shape, shape, strict=True))


class NetworkRecord(Record):
    """What built the network: a registered name and the arguments it took, a factory, or the file that was imported.

    ``normalize`` are the changes that were then made of where it normalizes, in their order.
    """

    name: str
    arguments: Arguments
    normalize: tuple[Normalization, ...] = ()
    parameters: Annotated[int, Field(ge=0)]


class TapRecord(Record):
    """Where in the graph the layer is observed, and whether that tensor is the layer's input or its output.

    Where ``mapped``, it holds ``tap_scale * side + tap_shift``, channel by channel, as ``normalization.npz`` has them.
    """

    tensor: str
    side: Literal["input", "output"]
    channel_axis: int
    mapped: bool


class ScaleRecord(Record):
    """How much a layer scales its channels, by absolute value: what decides whether folding it is safe in few bits."""

    max: float
    max_over_median: float | None


class LayerRecord(Record):
    """One normalization layer, and what became of it."""

    name: str
    kind: str
    channels: Annotated[int, Field(gt=0)]
    eps: Annotated[float, Field(ge=0)]
    momentum: float | None
    num_batches_tracked: Annotated[int, Field(ge=0)] | None
    placement: Placement
    into: str | None
    reason: str | None
    tap: TapRecord
    scale: ScaleRecord

    @model_validator(mode="after")
    def _says_where_or_why(self) -> LayerRecord:
        folded = self.placement in ("folded-backward", "folded-forward", "split")
        if folded == (self.into is None) or folded != (self.reason is None):
            expected = "into and no reason" if folded else "a reason and no into"
            raise ValueError(f"expected {expected} where placement is {self.placement}")
        return self


class UntrackedRecord(Record):
    """A node that normalizes without statistics of the training data: it stays, and can't be watched."""

    name: str
    channels: Annotated[int, Field(gt=0)] | None
    reason: str


class GraphRecord(Record):
    """How large a graph is: its nodes, those of them that normalize, and the bytes of its file."""

    nodes: Annotated[int, Field(ge=0)]
    normalization_nodes: Annotated[int, Field(ge=0)]
    bytes: Annotated[int, Field(ge=0)]


class FoldingRecord(Record):
    """What folding did to the graph as a whole.

    Attributes:
        mode: How far it was to go.
        before: The graph with every normalization layer still a node.
        after: The graph of the bundle.
        speedup: Time of a run before over time after, by ONNX Runtime on one thread.
        warnings: A sentence for every layer whose precision is at risk.
    """

    mode: FoldMode
    before: GraphRecord
    after: GraphRecord
    speedup: Annotated[float, Field(gt=0)]
    warnings: tuple[str, ...]


class AgreementRecord(Record):
    """How far one tensor of the bundle's graph is from the network's own, over all rows of a check.

    The relative error is the largest absolute difference over the largest absolute value of the network's tensor. Where
    it is beyond the tolerance, ``rounding_error`` says how far the network itself is off what it gives in float64, and
    ``exact_error`` how far the graph is off that; null elsewhere.
    """

    name: str
    max_absolute_error: float
    max_relative_error: float
    rounding_error: float | None
    exact_error: float | None


class CheckRecord(Record):
    """One comparison of the graph with the network it came from, on one kind of rows."""

    rows: Literal["random", "real"]
    num_rows: Annotated[int, Field(gt=0)]
    outputs: tuple[AgreementRecord, ...]
    taps: tuple[AgreementRecord, ...]


class VerificationRecord(Record):
    """The proof that the graph computes the network's function; the tolerances are of outputs and of taps."""

    reference: str
    runtime: str
    tolerance: float
    tap_tolerance: float
    checks: Annotated[tuple[CheckRecord, ...], Field(min_length=1)]


class FileRecord(Record):
    """One file of the bundle."""

    sha256: Sha256
    bytes: Annotated[int, Field(ge=0)]


class Manifest(Record):
    """Everything there is to say about one bundle."""

    format_version: Literal[3]
    name: ModelName
    version: Annotated[int, Field(gt=0)]
    created: AwareDatetime
    network: NetworkRecord
    inputs: Annotated[tuple[TensorRecord, ...], Field(min_length=1)]
    outputs: Annotated[tuple[TensorRecord, ...], Field(min_length=1)]
    labels: tuple[str, ...] | None
    layers: tuple[LayerRecord, ...]
    untracked: tuple[UntrackedRecord, ...]
    folding: FoldingRecord
    training: TrainingRecord | None
    recalibration: RecalibrationRecord | None
    verification: VerificationRecord
    files: dict[str, FileRecord]

    @model_validator(mode="after")
    def _names_are_unique(self) -> Manifest:
        for field, records in (("inputs", self.inputs), ("outputs", self.outputs), ("layers", self.layers)):
            names = [record.name for record in records]
            if len(set(names)) < len(names):
                raise ValueError(f"{field}: expected every name once")
        return self

    @property
    def rows_vary(self) -> bool:
        """Whether every input and output takes any number of rows."""
        return all(record.shape[0] == -1 for record in (*self.inputs, *self.outputs))

    def to_json(self) -> bytes:
        """The bytes of ``manifest.json``."""
        return self.model_dump_json(indent=2).encode() + b"\n"


class _FormatVersion(BaseModel):
    format_version: JsonValue


def parse_manifest(text: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        BundleError: If it is no JSON, of another format version, or a field is missing, unknown or out of its range.
    """
    try:
        found = _FormatVersion.model_validate_json(text).format_version
        if type(found) is not int or found != FORMAT_VERSION:  # true and 1.0 equal 1 too
            raise BundleError(
                f"{MANIFEST_FILE}: format_version: expected {FORMAT_VERSION}, got {_shown(found)}; "
                "another release wrote this bundle"
            )
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        raise BundleError(f"{MANIFEST_FILE}: {_first_problem(error)}") from error


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"]).lstrip(".")
    match problem["type"]:
        case "extra_forbidden":
            return f"{field}: this field is not known"
        case "missing":
            return f"{field}: this field is missing"
        case "json_invalid":
            return f"expected JSON: {problem['msg']}"
    message = problem["msg"][:1].lower() + problem["msg"][1:]
    return f"{field}: {message}, got {_shown(problem['input'])}" if field else message


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "..."
