import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from models.bundle import Bundle
from models.errors import BundleError
from models.manifest import MANIFEST_FILE, Manifest, parse_manifest
from tests.drafts import draft

Steps = tuple[str | int, ...]
"""Where a value is in a document of JSON: names of fields and indices of lists."""

TEXT = st.text(max_size=20)
JSON: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)


def encoded(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


def parent_of(document: Any, steps: Steps) -> Any:  # noqa: ANN401
    """The object or list that holds the last step."""
    for step in steps[:-1]:
        document = document[step]
    return document


def field_of(steps: Steps) -> str:
    """How a message names a field: ``inputs[0].shape``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("bundle")
    draft().write(folder, version=1)
    return Bundle.open(folder).manifest


@pytest.fixture
def document(manifest: Manifest) -> dict[str, Any]:
    """The manifest as JSON, free to be changed."""
    loaded: dict[str, Any] = json.loads(manifest.to_json())
    return loaded


def test_a_manifest_is_read_as_it_was_written(manifest: Manifest) -> None:
    text = manifest.to_json()

    read = parse_manifest(text)

    assert read == manifest
    assert read.to_json() == text


@settings(max_examples=50)
@given(arguments=st.dictionaries(TEXT, JSON, max_size=4), metrics=st.dictionaries(TEXT, st.floats(-1e300, 1e300)))
def test_whatever_json_can_say_is_read_as_it_was_written(
    manifest: Manifest, arguments: dict[str, JsonValue], metrics: dict[str, float]
) -> None:
    assert manifest.training is not None
    changed = manifest.model_copy(
        update={
            "network": manifest.network.model_copy(update={"arguments": arguments}),
            "training": manifest.training.model_copy(update={"recipe": arguments, "metrics": metrics}),
        }
    )

    read = parse_manifest(changed.to_json())

    assert read == changed


def test_a_manifest_without_labels_training_or_layers_is_read(document: dict[str, Any]) -> None:
    spare = document | {"labels": None, "training": None, "layers": []}

    read = parse_manifest(encoded(spare))

    assert (read.labels, read.training, read.layers) == (None, None, ())


def test_a_layer_that_counted_nothing_and_went_nowhere_is_read(document: dict[str, Any]) -> None:
    unknown = {"momentum": None, "num_batches_tracked": None, "placement": "kept", "into": None, "reason": "Two uses."}
    document["layers"][0] |= unknown

    read = parse_manifest(encoded(document))

    assert read.layers[0].model_dump(include=set(unknown)) == unknown


@pytest.mark.parametrize(
    "steps",
    [
        *((name,) for name in Manifest.model_fields),
        ("network", "arguments"),
        ("inputs", 0, "datatype"),
        ("layers", 0, "into"),
        ("layers", 0, "tap", "side"),
        ("training", "data", "sha256"),
        ("verification", "checks", 1, "taps", 0, "max_relative_error"),
        ("files", "model.onnx", "bytes"),
    ],
    ids=field_of,
)
def test_a_missing_field_is_named(document: dict[str, Any], steps: Steps) -> None:
    del parent_of(document, steps)[steps[-1]]

    with pytest.raises(BundleError) as caught:
        parse_manifest(encoded(document))

    assert str(caught.value) == f"{MANIFEST_FILE}: {field_of(steps)}: this field is missing"


@pytest.mark.parametrize(
    "steps",
    [
        ("preprocessing",),
        ("network", "weights"),
        ("inputs", 0, "layout"),
        ("layers", 0, "affine"),
        ("layers", 0, "tap", "axis"),
        ("training", "data", "url"),
        ("verification", "checks", 0, "seed"),
        ("files", "model.onnx", "md5"),
    ],
    ids=field_of,
)
def test_an_unknown_field_is_named(document: dict[str, Any], steps: Steps) -> None:
    parent_of(document, steps)[steps[-1]] = 1

    with pytest.raises(BundleError) as caught:
        parse_manifest(encoded(document))

    assert str(caught.value) == f"{MANIFEST_FILE}: {field_of(steps)}: this field is not known"


@pytest.mark.parametrize(
    ("steps", "value"),
    [
        pytest.param(("name",), "../elsewhere", id="name that leads elsewhere"),
        pytest.param(("name",), "tiny\n", id="name with a line break"),
        pytest.param(("name",), "", id="empty name"),
        pytest.param(("name",), 7, id="name that is a number"),
        pytest.param(("version",), -1, id="negative version"),
        pytest.param(("version",), 0, id="version zero"),
        pytest.param(("version",), "1", id="version in quotes"),
        pytest.param(("version",), 1.0, id="version with a point"),
        pytest.param(("version",), True, id="version that is true"),
        pytest.param(("created",), "2024-01-01T00:00:00", id="time without a zone"),
        pytest.param(("created",), 0, id="time as a number"),
        pytest.param(("network",), None, id="no network"),
        pytest.param(("network", "parameters"), -1, id="negative parameters"),
        pytest.param(("inputs",), [], id="no input"),
        pytest.param(("outputs",), [], id="no output"),
        pytest.param(("inputs", 0, "datatype"), "float32", id="another protocol's datatype"),
        pytest.param(("inputs", 0, "shape", 1), "4", id="dimension in quotes"),
        pytest.param(("labels",), "no,yes", id="labels in one string"),
        pytest.param(("layers", 0, "channels"), 0, id="no channel"),
        pytest.param(("layers", 0, "eps"), -1e-5, id="negative eps"),
        pytest.param(("layers", 0, "eps"), float("nan"), id="eps that is no number"),
        pytest.param(("layers", 0, "placement"), "vanished", id="unknown placement"),
        pytest.param(("layers", 0, "tap", "side"), "middle", id="unknown side"),
        pytest.param(("training", "rows"), 0, id="trained on nothing"),
        pytest.param(("training", "metrics", "accuracy"), float("inf"), id="infinite metric"),
        pytest.param(("training", "data", "sha256"), "A" * 64, id="hash in capitals"),
        pytest.param(("verification", "tolerance"), float("nan"), id="tolerance that is no number"),
        pytest.param(("verification", "checks"), [], id="never verified"),
        pytest.param(("verification", "checks", 0, "rows"), "some", id="unknown kind of rows"),
        pytest.param(
            ("verification", "checks", 1, "outputs", 0, "max_absolute_error"), float("-inf"), id="infinite error"
        ),
        pytest.param(("files", "model.onnx", "bytes"), -1, id="negative size"),
        pytest.param(("files", "model.onnx", "sha256"), "0" * 63, id="short hash"),
    ],
)
def test_a_value_that_the_field_can_not_have_is_named_with_it(
    document: dict[str, Any], steps: Steps, value: JsonValue
) -> None:
    parent_of(document, steps)[steps[-1]] = value

    with pytest.raises(BundleError) as caught:
        parse_manifest(encoded(document))

    assert str(caught.value).startswith(f"{MANIFEST_FILE}: {field_of(steps)}: ")
    assert str(caught.value).endswith(f", got {value!r}")


@pytest.mark.parametrize("steps", [("network", "arguments", "rate"), ("training", "recipe", "rate")], ids=field_of)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_can_not_say_is_refused_where_any_json_may_stand(
    document: dict[str, Any], steps: Steps, value: float
) -> None:
    parent_of(document, steps)[steps[-1]] = value

    with pytest.raises(BundleError) as caught:
        parse_manifest(encoded(document))

    assert str(caught.value).startswith(f"{MANIFEST_FILE}: {field_of(steps[:-1])}")


@pytest.mark.parametrize(
    "version",
    [
        0,
        1,
        2,
        4,
        -1,
        "3",
        None,
        1.5,
        float("nan"),
        [1],
        pytest.param(True),
        pytest.param(3.0),
    ],
)
def test_an_unknown_format_version_is_refused_before_all_else(version: JsonValue) -> None:
    newer = encoded({"format_version": version, "what_newer_releases_say": "anything"})

    with pytest.raises(BundleError) as caught:
        parse_manifest(newer)

    assert str(caught.value) == (
        f"{MANIFEST_FILE}: format_version: expected 3, got {version!r}; another release wrote this bundle"
    )


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"name: tiny", id="yaml"),
        pytest.param(b'{"format_version": 3', id="cut off"),
        pytest.param(b'{"format_version": 3}{}', id="two documents"),
        pytest.param(b'{"format_version": 3, "name": "\xff"}', id="not utf-8"),
        pytest.param(b'{"format_version": 3, "name": "\\ud800"}', id="half a character"),
        pytest.param(b'{"format_version": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", id="too deep"),
        pytest.param(b"\x80\x04\x95.", id="binary"),
    ],
)
def test_what_is_no_json_is_refused(text: bytes) -> None:
    expected = f"{MANIFEST_FILE}: expected JSON: "

    with pytest.raises(BundleError) as caught:
        parse_manifest(text)

    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize("text", [b"[]", b"1", b"null", b'"manifest"'])
def test_json_that_is_no_object_is_refused(text: bytes) -> None:
    expected = f"{MANIFEST_FILE}: input should be an object"

    with pytest.raises(BundleError) as caught:
        parse_manifest(text)

    assert str(caught.value) == expected


def test_an_object_without_a_format_version_is_no_manifest() -> None:
    anything = b'{"name": "tiny"}'

    with pytest.raises(BundleError) as caught:
        parse_manifest(anything)

    assert str(caught.value) == f"{MANIFEST_FILE}: format_version: this field is missing"


@pytest.mark.parametrize("field", ["training", "format_version"])
def test_a_refusal_stays_short_whatever_it_refuses(document: dict[str, Any], field: str) -> None:
    document[field] = "x" * 100_000

    with pytest.raises(BundleError) as caught:
        parse_manifest(encoded(document))

    assert len(str(caught.value)) < 1000


def test_a_written_manifest_ends_with_a_line_break(tmp_path: Path) -> None:
    draft().write(tmp_path, version=1)

    text = (tmp_path / MANIFEST_FILE).read_text()

    assert text.endswith("}\n")
