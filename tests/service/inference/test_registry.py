import asyncio
import shutil

import numpy as np
import pytest

from models.store import Store
from service.errors import NotFound
from service.inference.model_versions import VersionState
from service.inference.registry import Registry
from service.protocol.messages import InferenceRequest, Tensor
from tests.drafts import draft
from tests.service.inference.registries import answer, publish, refresh, states


def test_nothing_is_known_before_the_first_look(tiny: Store, registry: Registry) -> None:
    assert tiny.models() == ["tiny"]

    found = (registry.index(), registry.served(), registry.loaded.is_set())

    assert found == ([], [], False)


def test_a_store_that_does_not_exist_is_an_empty_one(store: Store, registry: Registry) -> None:
    assert not store.root.exists()

    refresh(registry)

    assert (registry.index(), registry.served(), registry.loaded.is_set()) == ([], [], True)


def test_every_version_is_loaded(store: Store, registry: Registry) -> None:
    for name in ("b", "a", "b"):
        store.publish(draft(name))

    refresh(registry)

    assert registry.index() == [
        VersionState(name, version, "READY", "") for name, version in [("a", "1"), ("b", "1"), ("b", "2")]
    ]
    assert [(served.name, served.version) for served in registry.served()] == [("a", "1"), ("b", "1"), ("b", "2")]
    assert registry.ready_versions("b") == ["1", "2"]


def test_a_loaded_version_answers(tiny: Store, registry: Registry) -> None:
    sample = tiny.open("tiny", 1).sample()
    request = InferenceRequest("7", [Tensor("x", "FP32", sample.inputs["x"])], None, binary_outputs=False)
    refresh(registry)

    found = asyncio.run(answer(registry.find("tiny"), request))

    assert (found.model_name, found.model_version, found.id) == ("tiny", "1", "7")
    # the sample was computed in float64, the graph runs in float32
    np.testing.assert_allclose(found.outputs[0].array, sample.outputs["logits"], rtol=0, atol=1e-5)


def test_the_highest_version_answers_where_none_is_named(store: Store, registry: Registry) -> None:
    publish(store, 10)

    refresh(registry)

    assert registry.find("tiny").version == "10"


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_version_answers_where_it_is_named(store: Store, registry: Registry, version: int) -> None:
    publish(store, 3)

    refresh(registry)

    assert registry.find("tiny", str(version)).version == str(version)


def test_a_model_that_is_not_there_is_not_found(tiny: Store, registry: Registry) -> None:
    tiny.publish(draft("other"))
    refresh(registry)

    with pytest.raises(NotFound) as refusal:
        registry.find("digits")

    assert str(refusal.value) == "model 'digits' is not known; there are: other, tiny"


def test_an_empty_store_says_that_there_is_none(registry: Registry) -> None:
    refresh(registry)

    with pytest.raises(NotFound) as refusal:
        registry.find("digits")

    assert str(refusal.value) == "model 'digits' is not known; there are: none"


@pytest.mark.parametrize("version", ["2", "0", "-1", "+1", "1.0", "latest", "", "\u0661", "\xb2", "9" * 30, "9" * 5000])
def test_a_version_that_is_not_there_is_not_found(tiny: Store, registry: Registry, version: str) -> None:
    assert tiny.versions("tiny") == [1]
    refresh(registry)

    with pytest.raises(NotFound) as refusal:
        registry.find("tiny", version)

    assert str(refusal.value) == f"model 'tiny' has no version {version!r}; there are: 1"


def test_a_new_version_takes_over(tiny: Store, registry: Registry) -> None:
    refresh(registry)
    tiny.publish(draft(bias=5.0))

    refresh(registry)

    assert registry.find("tiny").version == "2"
    assert registry.find("tiny", "1").version == "1"


def test_what_did_not_change_is_not_loaded_again(tiny: Store, registry: Registry) -> None:
    refresh(registry)
    before = registry.find("tiny", "1")
    tiny.publish(draft())

    refresh(registry)

    assert registry.find("tiny", "1") is before


def test_a_version_that_is_removed_is_unloaded(store: Store, registry: Registry) -> None:
    publish(store, 2)
    refresh(registry)
    shutil.rmtree(store.bundle_path("tiny", 2))

    refresh(registry)

    assert registry.find("tiny").version == "1"
    assert states(registry) == {("tiny", "1"): "READY"}
    with pytest.raises(NotFound, match="has no version '2'"):
        registry.find("tiny", "2")


def test_a_model_that_is_removed_is_forgotten(tiny: Store, registry: Registry) -> None:
    tiny.publish(draft("other"))
    refresh(registry)
    shutil.rmtree(tiny.root / "tiny")

    refresh(registry)

    assert states(registry) == {("other", "1"): "READY"}
    with pytest.raises(NotFound, match="model 'tiny' is not known"):
        registry.find("tiny")


def test_a_store_that_is_removed_serves_nothing(tiny: Store, registry: Registry) -> None:
    refresh(registry)
    shutil.rmtree(tiny.root)

    refresh(registry)

    assert registry.index() == []


def test_a_model_comes_back(tiny: Store, registry: Registry) -> None:
    refresh(registry)
    shutil.rmtree(tiny.root / "tiny")
    refresh(registry)
    tiny.publish(draft())

    refresh(registry)

    assert registry.find("tiny").version == "1"
