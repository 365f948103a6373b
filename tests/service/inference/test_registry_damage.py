import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from models.bundle import MODEL_FILE, SAMPLE_FILE, Sample
from models.datatypes import Datatype
from models.manifest import MANIFEST_FILE, TensorRecord
from models.store import Store
from service.errors import NotReady
from service.inference.model_versions import VersionState
from service.inference.registry import Registry
from service.inference.run_threads import RunThreads
from tests.damage import change_manifest, replace_file
from tests.drafts import draft
from tests.service.inference.registries import damage, loader_of, publish, reason, refresh, states
from tests.service.wire import LITTLE_ENDIAN


def empty_manifest(path: Path) -> None:
    (path / MANIFEST_FILE).write_bytes(b"")


def no_manifest(path: Path) -> None:
    (path / MANIFEST_FILE).unlink()


def manifest_is_folder(path: Path) -> None:
    (path / MANIFEST_FILE).unlink()
    (path / MANIFEST_FILE).mkdir()


def graph_is_folder(path: Path) -> None:
    (path / MODEL_FILE).unlink()
    (path / MODEL_FILE).mkdir()


def graph_is_pipe(path: Path) -> None:
    (path / MODEL_FILE).unlink()
    os.mkfifo(path / MODEL_FILE)


def graph_is_short(path: Path) -> None:
    (path / MODEL_FILE).write_bytes(b"")


def graph_is_none(path: Path) -> None:
    replace_file(path, MODEL_FILE, b"no graph")


def graph_is_another(path: Path) -> None:
    replace_file(path, MODEL_FILE, draft(seed=9).model)


def sample_is_no_archive(path: Path) -> None:
    replace_file(path, SAMPLE_FILE, b"no archive")


def link_leads_nowhere(path: Path) -> None:
    (path / MODEL_FILE).unlink()
    (path / MODEL_FILE).symlink_to("nowhere")


def links_lead_in_a_circle(path: Path) -> None:
    (path / MODEL_FILE).unlink()
    (path / MODEL_FILE).symlink_to(MODEL_FILE)


def link_beside_the_files_leads_nowhere(path: Path) -> None:
    (path / MANIFEST_FILE).write_bytes(b"")
    (path / "notes").symlink_to("nowhere")


def folder_is_empty(path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()


def of_another_model(path: Path) -> None:
    change_manifest(path, lambda manifest: manifest.update(name="other"))


DAMAGES = [
    empty_manifest,
    no_manifest,
    manifest_is_folder,
    graph_is_folder,
    graph_is_pipe,
    graph_is_short,
    graph_is_none,
    graph_is_another,
    sample_is_no_archive,
    link_leads_nowhere,
    links_lead_in_a_circle,
    link_beside_the_files_leads_nowhere,
    folder_is_empty,
    of_another_model,
]


@pytest.mark.parametrize("damaged", DAMAGES)
def test_a_damaged_version_is_told_with_its_reason_while_others_answer(
    store: Store, registry: Registry, damaged: Callable[[Path], None]
) -> None:
    publish(store, 2)
    store.publish(draft("other"))
    damaged(store.bundle_path("tiny", 2))

    refresh(registry)

    assert states(registry) == {("other", "1"): "READY", ("tiny", "1"): "READY", ("tiny", "2"): "UNAVAILABLE"}
    assert registry.find("tiny").version == "1"
    with pytest.raises(NotReady) as refusal:
        registry.find("tiny", "2")
    assert str(refusal.value) == f"model 'tiny' version 2 can't be served: {reason(registry, 2)}"


def test_a_graph_that_answers_otherwise_than_its_sample_is_not_served(tiny: Store, registry: Registry) -> None:
    graph_is_another(tiny.bundle_path("tiny", 1))

    refresh(registry)

    assert reason(registry, 1).startswith("self-test: logits: expected values within ")


@pytest.mark.parametrize("datatype", ["FP64", "FP16", "INT32"])
def test_a_graph_that_answers_in_another_datatype_than_its_sample_is_not_served(
    store: Store, registry: Registry, datatype: Datatype
) -> None:
    # else the bytes of an answer would not be what their description says
    sample = draft().sample
    zeros = {"logits": np.zeros_like(sample.outputs["logits"], LITTLE_ENDIAN[datatype])}
    record = TensorRecord(name="logits", datatype=datatype, shape=(-1, 2))
    store.publish(draft(outputs=(record,), sample=Sample(sample.inputs, zeros), model=zero_graph()))

    refresh(registry)

    assert states(registry) == {("tiny", "1"): "UNAVAILABLE"}


def zero_graph() -> bytes:
    """The graph of a draft whose every answer is zero, in float32."""
    model = onnx.load_from_string(draft().model)
    for initializer in model.graph.initializer:
        initializer.CopyFrom(
            onnx.numpy_helper.from_array(np.zeros_like(onnx.numpy_helper.to_array(initializer)), initializer.name)
        )
    return bytes(model.SerializeToString())


def test_a_model_whose_only_version_is_damaged_is_known_but_not_ready(tiny: Store, registry: Registry) -> None:
    damage(tiny, 1)
    refresh(registry)

    with pytest.raises(NotReady) as refusal:
        registry.find("tiny")

    assert str(refusal.value).startswith("model 'tiny' has no version that can be served: version 1: model.onnx: ")
    assert registry.ready_versions("tiny") == []


def test_a_mended_version_is_loaded(tiny: Store, registry: Registry) -> None:
    whole = tiny.bundle_path("tiny", 1) / MODEL_FILE
    contents = whole.read_bytes()
    damage(tiny, 1)
    refresh(registry)
    whole.write_bytes(contents)

    refresh(registry)

    assert registry.index() == [VersionState("tiny", "1", "READY", "")]


def test_a_version_that_is_damaged_later_answers_no_more(store: Store, registry: Registry) -> None:
    publish(store, 2)
    refresh(registry)
    damage(store, 2)

    refresh(registry)

    assert states(registry) == {("tiny", "1"): "READY", ("tiny", "2"): "UNAVAILABLE"}
    assert registry.find("tiny").version == "1"


def test_a_damaged_version_is_not_tried_again_until_it_changes(
    tiny: Store, run_threads: RunThreads, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry(tiny, loader_of(tiny, run_threads))
    damage(tiny, 1)

    for _ in range(3):
        refresh(registry)

    assert [record.levelname for record in caplog.records if "can't be served" in record.message] == ["ERROR"]
