import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from service.errors import StoreUnwritable
from service.inference.control import Control, Wish
from service.inference.versions import EveryVersion, LatestVersions, ListedVersions, parse_policies

POLICIES = parse_policies("latest:3;digits=all")
LISTED = ListedVersions(frozenset({1, 3}))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that is not there yet."""
    return tmp_path / "control.json"


@pytest.mark.parametrize(("model", "policy"), [("digits", EveryVersion()), ("tiny", LatestVersions(3))])
def test_without_a_client_the_settings_count(model: str, policy: EveryVersion | LatestVersions) -> None:
    control = Control(POLICIES)

    wish = control.wish(model)

    assert wish == Wish(policy, unloaded=False, loads=0)


def test_a_model_is_unloaded_until_it_is_loaded() -> None:
    control = Control(POLICIES)
    seen = []

    control.unload("tiny")
    seen.append(control.wish("tiny").unloaded)
    control.load("tiny", None)
    seen.append(control.wish("tiny").unloaded)

    assert seen == [True, False]
    assert not control.wish("digits").unloaded


def test_a_policy_lasts_until_the_model_is_loaded_without_one() -> None:
    control = Control(POLICIES)
    seen = []

    control.load("tiny", LISTED)
    control.unload("tiny")
    seen.append(control.wish("tiny").policy)
    control.load("tiny", None)
    seen.append(control.wish("tiny").policy)

    assert seen == [LISTED, LatestVersions(3)]


def test_every_load_is_counted() -> None:
    control = Control(POLICIES)

    for _ in range(3):
        control.load("tiny", None)

    assert control.wish("tiny").loads == 3


def test_one_process_writes_no_file(path: Path) -> None:
    control = Control(POLICIES)

    control.unload("tiny")
    control.read()

    assert control.wish("tiny").unloaded
    assert list(path.parent.iterdir()) == []


def test_another_process_takes_over_what_this_one_was_asked_for(path: Path) -> None:
    one, other = Control(POLICIES, path), Control(POLICIES, path)
    one.load("tiny", LISTED)
    one.unload("digits")

    other.read()

    assert other.wish("tiny") == Wish(LISTED, unloaded=False, loads=1)
    assert other.wish("digits") == Wish(EveryVersion(), unloaded=True, loads=0)


def test_what_two_processes_are_asked_for_adds_up(path: Path) -> None:
    one, other = Control(POLICIES, path), Control(POLICIES, path)
    one.unload("tiny")
    other.unload("digits")
    one.load("mlp", None)

    other.read()

    assert [other.wish(model).unloaded for model in ("tiny", "digits", "mlp")] == [True, True, False]
    assert other.wish("mlp").loads == 1


def test_nothing_is_left_beside_the_file(path: Path) -> None:
    control = Control(POLICIES, path)

    control.unload("tiny")
    control.load("tiny", None)

    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"tiny": {"loaded": true}}', '{"tiny": {"policy": "some"}}', '{"tiny": {"loads": -1}}']
)
def test_a_file_that_can_not_be_understood_changes_nothing(
    path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    control = Control(POLICIES, path)
    control.unload("tiny")
    path.write_text(text)

    control.read()

    assert control.wish("tiny").unloaded
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize("change", [lambda control: control.unload("tiny"), lambda control: control.load("tiny", None)])
def test_a_file_that_can_not_be_written_is_told_and_changes_nothing(
    tmp_path: Path, change: Callable[[Control], None]
) -> None:
    control = Control(POLICIES, tmp_path / "gone" / "control.json")

    with pytest.raises(StoreUnwritable) as refusal:
        change(control)

    assert str(refusal.value).endswith(
        "gone/control.json: expected a file that can be written: No such file or directory"
    )
    assert control.wish("tiny") == Wish(LatestVersions(3), unloaded=False, loads=0)
