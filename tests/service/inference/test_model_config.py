import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.manifest import Manifest, TensorRecord
from models.store import Store
from service.errors import InvalidRequest
from service.inference.limits import ServingLimits
from service.inference.model_config import model_config, read_version_policy
from service.inference.versions import EveryVersion, LatestVersions, ListedVersions, VersionPolicy
from tests.drafts import draft

LIMITS = ServingLimits(
    max_batch_rows=64,
    max_batch_delay_ms=2.5,
    max_queue_requests=256,
    request_timeout_ms=30_000,
    inline_below_ms=0.5,
    warm_up_s=1.0,
)
NUMBERS = st.integers(min_value=1, max_value=10**18 - 1)
POLICIES = (
    st.just(EveryVersion())
    | NUMBERS.map(LatestVersions)
    | st.frozensets(NUMBERS, min_size=1, max_size=5).map(ListedVersions)
)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The manifest of a model with an input of shape (-1, 4) and an output of shape (-1, 2)."""
    return Store(tmp_path_factory.mktemp("store")).publish(draft()).manifest


def with_shapes(manifest: Manifest, *, taken: tuple[int, ...], given: tuple[int, ...]) -> Manifest:
    """The same with other shapes."""
    inputs = (TensorRecord(name="x", datatype="INT64", shape=taken),)
    outputs = (TensorRecord(name="logits", datatype="BOOL", shape=given),)
    return manifest.model_copy(update={"inputs": inputs, "outputs": outputs})


def test_the_configuration_is_all_that_a_load_generator_asks_for(manifest: Manifest) -> None:
    device = "cpu"

    config = model_config(manifest, device, LIMITS, LatestVersions(2), batch_rows=8)

    assert config == {
        "name": "tiny",
        "platform": "onnxruntime_onnx",
        "backend": "onnxruntime",
        "version_policy": {"latest": {"num_versions": 2}},
        "max_batch_size": 64,
        "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [4]}],
        "output": [{"name": "logits", "data_type": "TYPE_FP32", "dims": [2]}],
        "instance_group": [{"name": "tiny", "kind": "KIND_CPU", "count": 1, "gpus": []}],
        "parameters": {"device": {"string_value": "cpu"}},
        "dynamic_batching": {
            "preferred_batch_size": [8],
            "max_queue_delay_microseconds": 2500,
            "preserve_ordering": False,
            "default_queue_policy": {
                "timeout_action": "REJECT",
                "default_timeout_microseconds": 30_000_000,
                "allow_timeout_override": True,
                "max_queue_size": 256,
            },
        },
    }


@pytest.mark.parametrize(
    ("device", "kind", "gpus"),
    [
        ("cpu", "KIND_CPU", []),
        ("cuda:0", "KIND_GPU", [0]),
        ("cuda:3", "KIND_GPU", [3]),
        ("tensorrt:1", "KIND_GPU", [1]),
    ],
)
def test_the_device_is_the_one_that_is_used(manifest: Manifest, device: str, kind: str, gpus: list[int]) -> None:
    policy = EveryVersion()

    config = model_config(manifest, device, LIMITS, policy, batch_rows=8)

    assert config["instance_group"] == [{"name": "tiny", "kind": kind, "count": 1, "gpus": gpus}]
    assert config["parameters"] == {"device": {"string_value": device}}


@pytest.mark.parametrize(
    ("taken", "given", "size", "dims"),
    [
        ((-1, 3, -1, -1), (-1, 2), 64, [[3, -1, -1], [2]]),
        ((1, 4), (1, 2), 0, [[1, 4], [1, 2]]),
        ((-1, 4), (1, 2), 0, [[-1, 4], [1, 2]]),
        ((8, 4), (-1, 2), 0, [[8, 4], [-1, 2]]),
    ],
)
def test_where_a_first_dimension_is_fixed_there_is_no_batch(
    manifest: Manifest, taken: tuple[int, ...], given: tuple[int, ...], size: int, dims: list[list[int]]
) -> None:
    shaped = with_shapes(manifest, taken=taken, given=given)

    config = model_config(shaped, "cpu", LIMITS, EveryVersion(), batch_rows=8)

    assert config["max_batch_size"] == size
    assert [tensor["dims"] for tensor in (*config["input"], *config["output"])] == dims
    assert ("dynamic_batching" in config) == (size > 0)


def test_datatypes_are_those_of_the_configuration(manifest: Manifest) -> None:
    shaped = with_shapes(manifest, taken=(-1, 4), given=(-1, 2))

    config = model_config(shaped, "cpu", LIMITS, EveryVersion(), batch_rows=8)

    assert [tensor["data_type"] for tensor in (*config["input"], *config["output"])] == ["TYPE_INT64", "TYPE_BOOL"]


def test_one_value_a_row_is_reshaped_from_one_of_a_dimension(manifest: Manifest) -> None:
    shaped = with_shapes(manifest, taken=(-1, 4), given=(-1,))

    config = model_config(shaped, "cpu", LIMITS, EveryVersion(), batch_rows=8)

    assert config["output"] == [{"name": "logits", "data_type": "TYPE_BOOL", "dims": [1], "reshape": {"shape": []}}]


@given(policy=POLICIES)
def test_a_policy_is_read_as_the_configuration_writes_it(manifest: Manifest, policy: VersionPolicy) -> None:
    config = model_config(manifest, "cpu", LIMITS, policy, batch_rows=8)

    read = read_version_policy(json.dumps({"version_policy": config["version_policy"]}), "tiny")

    assert read == policy


@pytest.mark.parametrize(
    ("config", "policy"),
    [
        ({}, None),
        ({"name": "tiny"}, None),
        ({"version_policy": None}, None),
        ({"version_policy": {"all": {}}}, EveryVersion()),
        ({"version_policy": {"all": None}}, EveryVersion()),
        ({"version_policy": {"latest": {}}}, LatestVersions(1)),
        ({"version_policy": {"latest": {"num_versions": 3}}}, LatestVersions(3)),
        ({"version_policy": {"specific": {"versions": [3, 1]}}}, ListedVersions(frozenset({1, 3}))),
        # as protobuf writes whole numbers of 64 bits
        ({"version_policy": {"specific": {"versions": ["3", "1"]}}}, ListedVersions(frozenset({1, 3}))),
    ],
)
def test_a_policy_is_read(config: object, policy: VersionPolicy | None) -> None:
    text = json.dumps(config)

    read = read_version_policy(text, "tiny")

    assert read == policy


WHERE = "parameters.config"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("", f"{WHERE}: expected JSON"),
        ("[]", f"{WHERE}: expected an object, got []"),
        (
            '{"max_batch_size": 8}',
            f"{WHERE}.max_batch_size: expected name or version_policy alone, "
            "all else comes from the bundle and the settings",
        ),
        ('{"instance_group": []}', f"{WHERE}.instance_group: expected name or version_policy alone"),
        ('{"name": "other"}', f'{WHERE}.name: expected tiny, got "other"'),
        ('{"version_policy": 1}', f"{WHERE}.version_policy: expected an object, got 1"),
        ('{"version_policy": {}}', f"{WHERE}.version_policy: expected one of latest, all and specific, got {{}}"),
        ('{"version_policy": {"all": {}, "latest": {}}}', f"{WHERE}.version_policy: expected one of latest, all and "),
        ('{"version_policy": {"newest": {}}}', f"{WHERE}.version_policy.newest: expected one of latest, all and "),
        (
            '{"version_policy": {"latest": {"num_versions": 0}}}',
            f"{WHERE}.version_policy.latest.num_versions: expected a whole number from 1, got 0",
        ),
        (
            '{"version_policy": {"latest": {"num_versions": true}}}',
            f"{WHERE}.version_policy.latest.num_versions: expected a whole number from 1, got true",
        ),
        (
            '{"version_policy": {"specific": {"versions": []}}}',
            f"{WHERE}.version_policy.specific.versions: expected at least one version, got []",
        ),
        (
            '{"version_policy": {"specific": {}}}',
            f"{WHERE}.version_policy.specific.versions: expected a list, got null",
        ),
        (
            '{"version_policy": {"specific": {"versions": [1, "x"]}}}',
            f'{WHERE}.version_policy.specific.versions[1]: expected a whole number from 1, got "x"',
        ),
    ],
)
def test_what_clients_may_not_set_is_named(config: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_version_policy(config, "tiny")

    assert str(refusal.value).startswith(message)
