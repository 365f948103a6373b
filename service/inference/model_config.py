"""This module describes a model in the terms of Triton's model configuration, and reads what clients may set of it."""

from __future__ import annotations

from typing import Any

from models.manifest import Manifest, TensorRecord
from service.errors import InvalidRequest
from service.inference.limits import ServingLimits
from service.inference.versions import EveryVersion, LatestVersions, ListedVersions, VersionPolicy
from service.protocol.fields import Json, complaint, parse_json, read_list, read_object

PLATFORM = "onnxruntime_onnx"
BACKEND = "onnxruntime"
ABOVE_VERSIONS = 10**18


def model_config(
    manifest: Manifest, device: str, limits: ServingLimits, policy: VersionPolicy, *, batch_rows: int
) -> dict[str, Any]:
    """The configuration of one version, as JSON.

    Where a first dimension is fixed there is no batch: ``max_batch_size`` is 0, and ``dims`` are whole shapes.

    Args:
        manifest: Of the version.
        device: Where it really runs, ``cpu`` or ``<kind>:N``.
        limits: What it may take.
        policy: Which versions of the model are loaded.
        batch_rows: How many rows of several requests share a run at most.
    """
    batches = manifest.rows_vary
    config: dict[str, Any] = {
        "name": manifest.name,
        "platform": PLATFORM,
        "backend": BACKEND,
        "version_policy": _policy(policy),
        "max_batch_size": limits.max_batch_rows if batches else 0,
        "input": [_tensor(record, batches=batches) for record in manifest.inputs],
        "output": [_tensor(record, batches=batches) for record in manifest.outputs],
        "instance_group": [_instance_group(manifest.name, device)],
        "parameters": {"device": {"string_value": device}},
    }
    if batches:
        config["dynamic_batching"] = _dynamic_batching(limits, batch_rows)
    return config


def read_version_policy(config: str, model: str) -> VersionPolicy | None:
    """Read the ``config`` of a load request, the only part of which clients may set is the version policy.

    Args:
        config: A model configuration, as JSON.
        model: The model that is loaded; what the configuration calls it must be the same.

    Raises:
        InvalidRequest: If it sets anything else, or the policy is none; the text names the field.
    """
    where = "parameters.config"
    document = _read_mapping(parse_json(config.encode(), where), where)
    for key in document:
        if key not in ("name", "version_policy"):
            raise InvalidRequest(
                f"{where}.{key}: expected name or version_policy alone, all else comes from the bundle and the settings"
            )
    if (name := document.get("name", model)) != model:
        raise complaint(f"{where}.name", model, name)
    policy = document.get("version_policy")
    return None if policy is None else _read_policy(policy, f"{where}.version_policy")


def _policy(policy: VersionPolicy) -> dict[str, Any]:
    match policy:
        case EveryVersion():
            return {"all": {}}
        case LatestVersions(count):
            return {"latest": {"num_versions": count}}
        case ListedVersions(numbers):
            return {"specific": {"versions": sorted(numbers)}}


def _read_policy(value: Json, where: str) -> VersionPolicy:
    policy = _read_mapping(value, where)
    if len(policy) != 1:
        raise complaint(where, "one of latest, all and specific", value)
    kind, fields = next(iter(policy.items()))
    where = f"{where}.{kind}"
    match kind:
        case "all":
            read_object(fields, where)
            return EveryVersion()
        case "latest":
            count = read_object(fields, where).get("num_versions", 1)
            return LatestVersions(_read_number(count, f"{where}.num_versions"))
        case "specific":
            versions = read_list(read_object(fields, where).get("versions"), f"{where}.versions")
            if not versions:
                raise complaint(f"{where}.versions", "at least one version", versions)
            numbers = (_read_number(version, f"{where}.versions[{i}]") for i, version in enumerate(versions))
            return ListedVersions(frozenset(numbers))
    raise InvalidRequest(f"{where}: expected one of latest, all and specific")


def _read_mapping(value: Json, where: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise complaint(where, "an object", value)
    return value


def _read_number(value: Json, where: str) -> int:
    """A whole number from 1; as protobuf writes those of 64 bits in JSON, it may be a string."""
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20 else value
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number < ABOVE_VERSIONS:
        raise complaint(where, "a whole number from 1", value)
    return number


def _tensor(record: TensorRecord, *, batches: bool) -> dict[str, Any]:
    shape = record.shape[1:] if batches else record.shape
    tensor: dict[str, Any] = {"name": record.name, "data_type": f"TYPE_{record.datatype}", "dims": list(shape)}
    if not shape:  # a value a row: the configuration knows no empty dims
        tensor |= {"dims": [1], "reshape": {"shape": []}}
    return tensor


def _instance_group(name: str, device: str) -> dict[str, Any]:
    kind, _, number = device.partition(":")
    if kind == "cpu":
        return {"name": name, "kind": "KIND_CPU", "count": 1, "gpus": []}
    return {"name": name, "kind": "KIND_GPU", "count": 1, "gpus": [int(number or 0)]}


def _dynamic_batching(limits: ServingLimits, batch_rows: int) -> dict[str, Any]:
    return {
        "preferred_batch_size": [batch_rows],
        "max_queue_delay_microseconds": round(limits.max_batch_delay_ms * 1000),
        "preserve_ordering": False,
        "default_queue_policy": {
            "timeout_action": "REJECT",
            "default_timeout_microseconds": limits.request_timeout_ms * 1000,
            "allow_timeout_override": True,
            "max_queue_size": limits.max_queue_requests,
        },
    }
