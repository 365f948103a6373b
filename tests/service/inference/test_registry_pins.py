import logging
import shutil

import pytest

from models.bundle import MODEL_FILE
from models.pins import DEFAULT_FILE
from models.store import Store
from service.errors import NotReady
from service.inference.registry import Registry
from tests.service.inference.registries import damage, publish, refresh


def test_a_pin_rolls_back(store: Store, registry: Registry) -> None:
    publish(store, 3)
    refresh(registry)
    store.pin_version("tiny", 2)

    refresh(registry)

    assert registry.find("tiny").version == "2"
    assert registry.find("tiny", "3").version == "3"


def test_a_pin_holds_while_versions_come(store: Store, registry: Registry) -> None:
    publish(store, 1)
    store.pin_version("tiny", 1)
    refresh(registry)
    publish(store, 1)

    refresh(registry)

    assert registry.find("tiny").version == "1"


def test_without_its_pin_a_model_answers_with_the_highest_version(store: Store, registry: Registry) -> None:
    publish(store, 2)
    store.pin_version("tiny", 1)
    refresh(registry)
    (store.root / "tiny" / DEFAULT_FILE).unlink()

    refresh(registry)

    assert registry.find("tiny").version == "2"


def test_every_change_of_the_pin_is_logged_once(
    store: Store, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    publish(store, 2)
    refresh(registry)
    caplog.set_level(logging.INFO)

    store.pin_version("tiny", 2)
    refresh(registry)
    refresh(registry)
    store.unpin("tiny")
    refresh(registry)

    told = [message for message in caplog.messages if "pinned" in message]
    assert told == ["model tiny is pinned to version 2", "model tiny is no longer pinned"]


def test_a_pin_to_a_damaged_version_leaves_the_default_as_it_was(
    store: Store, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    publish(store, 3)
    damage(store, 3)
    store.pin_version("tiny", 1)
    refresh(registry)
    store.pin_version("tiny", 3)

    refresh(registry)

    assert registry.find("tiny").version == "1"
    assert "model tiny can't answer with version 3, which its store pins" in caplog.messages


def test_a_pin_to_a_version_that_is_gone_leaves_the_default_as_it_was(store: Store, registry: Registry) -> None:
    publish(store, 2)
    refresh(registry)
    store.pin_version("tiny", 1)
    shutil.rmtree(store.bundle_path("tiny", 1))

    refresh(registry)

    assert registry.find("tiny").version == "2"


def test_a_pin_to_a_damaged_version_serves_no_other_at_start(store: Store, registry: Registry) -> None:
    publish(store, 2)
    store.pin_version("tiny", 1)
    damage(store, 1)

    refresh(registry)

    with pytest.raises(NotReady, match=r"can.t answer with version 1, which its store pins; version 1: "):
        registry.find("tiny")
    assert registry.find("tiny", "2").version == "2"


def test_a_pinned_version_that_is_mended_answers(store: Store, registry: Registry) -> None:
    publish(store, 2)
    whole = (store.bundle_path("tiny", 1) / MODEL_FILE).read_bytes()
    damage(store, 1)
    store.pin_version("tiny", 1)
    refresh(registry)
    (store.bundle_path("tiny", 1) / MODEL_FILE).write_bytes(whole)

    refresh(registry)

    assert registry.find("tiny").version == "1"


@pytest.mark.parametrize("pin", [b"", b"latest", b"0", b"-1", b"1.0", b"1 2", b"\xff\xfe", b"9" * 5000])
def test_a_malformed_pin_leaves_the_default_as_it_was(
    store: Store, registry: Registry, pin: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    publish(store, 2)
    store.pin_version("tiny", 1)
    refresh(registry)
    (store.root / "tiny" / DEFAULT_FILE).write_bytes(pin)

    refresh(registry)

    assert registry.find("tiny").version == "1"
    assert [record.levelname for record in caplog.records if record.levelno > logging.INFO] == ["ERROR"]


def test_a_pin_that_is_a_folder_leaves_the_default_as_it_was(store: Store, registry: Registry) -> None:
    publish(store, 2)
    refresh(registry)
    (store.root / "tiny" / DEFAULT_FILE).mkdir()

    refresh(registry)

    assert registry.find("tiny").version == "2"


def test_a_problem_is_logged_once_for_as_long_as_it_lasts(
    store: Store, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    publish(store, 1)
    (store.root / "tiny" / DEFAULT_FILE).write_text("latest")

    for _ in range(3):
        refresh(registry)

    assert [record.message for record in caplog.records if record.levelno > logging.INFO] == [
        "tiny/default: expected the number of a version, got 'latest'"
    ]


def test_a_pin_that_can_be_followed_is_no_problem(
    store: Store, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    publish(store, 3)
    store.pin_version("tiny", 2)

    refresh(registry)

    assert registry.find("tiny").version == "2"
    assert [record.message for record in caplog.records if record.levelno > logging.INFO] == []
