import json
from typing import Any

import numpy as np
import pytest

from models.layers import NormalizationLayer
from models.store import Store
from tests.drafts import TRAINING_ROWS
from tests.service.running import Service

DESCRIPTION = ["name", "kind", "channels", "eps", "placement", "into", "reason", "tap", "scale"]
FIGURES = ["gamma", "beta", "mean", "variance"]


def layer_of(store: Store, version: int) -> NormalizationLayer:
    return store.open("tiny", version).normalization()[0]


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("/v2/models/tiny/normalization", 2),
        ("/v2/models/tiny/versions/1/normalization", 1),
        ("/v2/models/tiny/versions/2/normalization", 2),
    ],
)
def test_the_report_summarizes_every_layer(service: Service, shared_store: Store, path: str, version: int) -> None:
    layer = layer_of(shared_store, version)

    response = service.get(path)

    assert response.status_code == 200
    report = response.json()
    assert report.pop("observation")["rows_seen"] == 0
    assert report == {
        "model_name": "tiny",
        "model_version": str(version),
        "drift": None,
        "folding": shared_store.open("tiny", version).manifest.folding.model_dump(mode="json"),
        "layers": [
            {
                "name": "norm",
                "kind": "BatchNorm1d",
                "channels": 3,
                "eps": 1e-5,
                "placement": "folded-backward",
                "into": "hidden",
                "reason": None,
                "tap": {"tensor": "norm", "side": "output", "channel_axis": 1, "mapped": False},
                "scale": {
                    "max": np.abs(layer.scale).max(),
                    "max_over_median": np.abs(layer.scale).max() / np.median(np.abs(layer.scale)),
                },
                "training": {
                    "rows": TRAINING_ROWS,
                    **{
                        figure: {"min": values.min(), "mean": values.mean(), "max": values.max()}
                        for figure, values in ((figure, getattr(layer, figure)) for figure in FIGURES)
                    },
                },
                "health": [],
                "live": None,
                "drift": None,
            }
        ],
        "inputs": [],
        "untracked": [],
    }


def keys(document: Any) -> Any:  # noqa: ANN401
    """A document with nothing but its field names, in their order."""
    if isinstance(document, dict):
        return [(key, keys(value)) for key, value in document.items()]
    return [keys(value) for value in document if isinstance(value, dict)] if isinstance(document, list) else None


def test_the_fields_of_the_report_have_their_order(service: Service) -> None:
    tap = ("tap", [("tensor", None), ("side", None), ("channel_axis", None), ("mapped", None)])
    scale = ("scale", [("max", None), ("max_over_median", None)])
    size = [("nodes", None), ("normalization_nodes", None), ("bytes", None)]
    folding = [("mode", None), ("before", size), ("after", size), ("speedup", None), ("warnings", [])]
    summary = [("min", None), ("mean", None), ("max", None)]
    training = ("training", [("rows", None), *((figure, summary) for figure in FIGURES)])
    layer = [
        *((field, None) for field in DESCRIPTION[:-2]),
        tap,
        scale,
        training,
        ("health", []),
        ("live", None),
        ("drift", None),
    ]
    observation = ["share", "budget", "rows_seen", "rows_observed", "rows_not_finite", "rows_dropped", "reason"]

    response = service.get("/v2/models/tiny/normalization")

    assert keys(json.loads(response.content)) == [
        ("model_name", None),
        ("model_version", None),
        ("observation", [(field, None) for field in observation]),
        ("drift", None),
        ("folding", folding),
        ("layers", [layer]),
        ("inputs", []),
        ("untracked", []),
    ]


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("/v2/models/tiny/normalization/layers/norm", 2),
        ("/v2/models/tiny/versions/1/normalization/layers/norm", 1),
        ("/v2/models/tiny/versions/2/normalization/layers/norm", 2),
    ],
)
def test_a_layer_is_described_channel_by_channel(
    service: Service, shared_store: Store, path: str, version: int
) -> None:
    layer = layer_of(shared_store, version)

    response = service.get(path)

    assert response.status_code == 200
    assert list(response.json()) == [*DESCRIPTION, "training", "health", "live", "drift"]
    assert list(response.json()["training"]) == ["rows", *FIGURES]
    for figure in FIGURES:
        np.testing.assert_array_equal(response.json()["training"][figure], getattr(layer, figure))


def test_a_model_without_normalization_layers_has_an_empty_report(service: Service) -> None:
    response = service.get("/v2/models/plain/normalization")

    report = response.json()
    assert response.status_code == 200
    assert (report["model_name"], report["layers"], report["untracked"]) == ("plain", [], [])


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        (
            "/v2/models/tiny/normalization/layers/nrom",
            404,
            "model 'tiny' version 2 has no normalization layer 'nrom'; the nearest is 'norm'; "
            "GET /v2/models/tiny/normalization lists all",
        ),
        (
            "/v2/models/tiny/versions/1/normalization/layers/hidden",
            404,
            "model 'tiny' version 1 has no normalization layer 'hidden'; the nearest is 'norm'; "
            "GET /v2/models/tiny/normalization lists all",
        ),
        (
            "/v2/models/plain/normalization/layers/norm",
            404,
            "model 'plain' version 1 has no normalization layer 'norm'; it has no normalization layers",
        ),
        ("/v2/models/unknown/normalization", 404, "model 'unknown' is not known; there are: broken, plain, tiny"),
        ("/v2/models/unknown/normalization/layers/norm", 404, "model 'unknown' is not known; there are: "),
        ("/v2/models/tiny/versions/9/normalization", 404, "model 'tiny' has no version '9'; there are: 1, 2"),
        ("/v2/models/tiny/versions/9/normalization/layers/norm", 404, "model 'tiny' has no version '9'"),
        ("/v2/models/broken/normalization", 503, "model 'broken' has no version that can be served: "),
        ("/v2/models/broken/versions/1/normalization/layers/norm", 503, "model 'broken' version 1 can't be served"),
    ],
)
def test_what_can_not_be_reported_says_why(service: Service, path: str, status: int, message: str) -> None:
    expected = message

    response = service.get(path)

    assert response.status_code == status
    assert response.json()["error"].startswith(expected)
