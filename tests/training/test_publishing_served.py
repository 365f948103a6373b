"""One's own network, published by the one call and answered for by the service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from models.bundle import Bundle
from models.store import Store
from tests.service.running import Service, in_process
from tests.training.examples import TOLERANCE, Forward, answers, build, normal_rows, relative_error
from training import export


def branches() -> nn.Module:
    """One layer that goes into the convolution before it, one into two branches, one that stays."""
    return Forward(
        lambda net, x: net.kept(net.joined(torch.cat([net.stem(x), net.side(x)], dim=1)).relu()).mean((2, 3)).tanh(),
        stem=nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1)),
        side=nn.Conv2d(3, 2, 1),
        joined=nn.BatchNorm2d(4),
        kept=nn.BatchNorm2d(4),
    )


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return build(branches)


@pytest.fixture(scope="module")
def store(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with the network alone."""
    published = Store(tmp_path_factory.mktemp("store"))
    export(network, normal_rows(2, 3, 6, 6), store=published, name="mine")
    return published


@pytest.fixture(scope="module")
def bundle(store: Store) -> Bundle:
    return store.open("mine", 1)


@pytest.fixture(scope="module")
def service(store: Store) -> Iterator[Service]:
    """The service on that store."""
    with in_process(store.root) as running:
        yield running


def test_a_published_network_answers_as_torch_does(network: nn.Module, service: Service) -> None:
    rows = normal_rows(3, 3, 6, 6, seed=7)
    sent = {"name": "rows", "datatype": "FP32", "shape": list(rows.shape), "data": rows.flatten().tolist()}

    (output,) = service.post("/v2/models/mine/infer", json={"inputs": [sent]}).json()["outputs"]

    found = np.array(output["data"], np.float32).reshape(output["shape"])
    assert output["name"] == "output"
    assert relative_error(found, answers(network, rows)) <= TOLERANCE


def test_the_service_tells_what_became_of_every_layer(service: Service) -> None:
    report = service.get("/v2/models/mine/normalization").json()

    layers: dict[str, dict[str, Any]] = {layer["name"]: layer for layer in report["layers"]}
    assert {name: (layer["placement"], layer["into"]) for name, layer in layers.items()} == {
        "stem.1": ("folded-backward", "stem.0"),
        "joined": ("split", "stem.3, side"),
        "kept": ("kept", None),
    }
    assert layers["stem.1"]["reason"] is None
    assert layers["kept"]["reason"].startswith("It stayed as it was, which runs faster")


def test_the_service_tells_what_folding_did_to_the_graph(bundle: Bundle, service: Service) -> None:
    report = service.get("/v2/models/mine/normalization").json()

    assert report["folding"] == bundle.manifest.folding.model_dump(mode="json")
    assert (report["folding"]["before"]["normalization_nodes"], report["folding"]["after"]["normalization_nodes"]) == (
        3,
        1,
    )
    assert report["untracked"] == []


def test_the_service_tells_the_statistics_of_the_network(network: nn.Module, service: Service) -> None:
    layer = service.get("/v2/models/mine/normalization/layers/joined").json()

    joined = network.get_submodule("joined")
    np.testing.assert_array_equal(layer["training"]["mean"], joined.get_buffer("running_mean").double().numpy())
    np.testing.assert_array_equal(layer["training"]["variance"], joined.get_buffer("running_var").double().numpy())
