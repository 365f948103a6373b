from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import StoreError, VersionNotFound
from models.pins import DEFAULT_FILE, MOST_PINS, promoted, read_pins, write_pins
from models.store import Store
from tests.drafts import draft

VERSIONS = st.integers(min_value=1, max_value=5)


@pytest.fixture
def three(store: Store) -> Store:
    """A store with versions 1 to 3 of ``tiny``."""
    for _ in range(3):
        store.publish(draft())
    return store


@pytest.mark.parametrize("pins", [(), (1,), (3, 1), tuple(range(1, MOST_PINS + 1))])
def test_pins_are_read_as_they_were_written(tmp_path: Path, pins: tuple[int, ...]) -> None:
    write_pins(tmp_path, (7,))

    write_pins(tmp_path, pins)

    assert read_pins(tmp_path) == pins


def test_the_oldest_pins_are_forgotten(tmp_path: Path) -> None:
    pins = tuple(range(1, 100))

    write_pins(tmp_path, pins)

    assert read_pins(tmp_path) == pins[:MOST_PINS]


@pytest.mark.parametrize(("text", "shown"), [("1\nlatest\n", "'latest'"), ("2\n1 3", "'1 3'"), ("2\n0", "'0'")])
def test_an_earlier_pin_that_is_no_version_is_refused(tmp_path: Path, text: str, shown: str) -> None:
    (tmp_path / DEFAULT_FILE).write_text(text)

    with pytest.raises(StoreError) as caught:
        read_pins(tmp_path)

    assert str(caught.value) == f"{tmp_path.name}/default: expected the number of a version, got {shown}"


@pytest.mark.parametrize(
    ("pins", "version", "answered", "expected"),
    [
        ((), 1, None, (1,)),
        ((), 1, 1, (1,)),
        ((), 1, 3, (1, 3)),
        ((3,), 1, 3, (1, 3)),
        ((3, 2), 1, 3, (1, 3, 2)),
        ((3, 2), 3, 3, (3, 2)),
        ((3, 2), 2, 3, (2, 3, 2)),
        ((3,), 1, None, (1, 3)),
        ((3,), 1, 2, (1, 2, 3)),
    ],
)
def test_a_promotion_goes_before_what_answered(
    pins: tuple[int, ...], version: int, answered: int | None, expected: tuple[int, ...]
) -> None:
    before = pins

    after = promoted(before, version, answered=answered)

    assert after == expected


@given(first=VERSIONS, versions=st.lists(VERSIONS, max_size=MOST_PINS - 1))
def test_as_many_steps_back_as_switches_lead_to_the_start(first: int, versions: list[int]) -> None:
    pins: tuple[int, ...] = (first,)
    for version in versions:
        pins = promoted(pins, version, answered=pins[0])

    switches = sum(before != after for before, after in zip([first, *versions], versions, strict=False))

    assert len(pins) == 1 + switches
    assert pins[switches] == first


def test_a_store_rolls_back_to_what_answered_before(three: Store) -> None:
    three.pin_version("tiny", 1, answered=3)
    three.pin_version("tiny", 2, answered=1)

    three.roll_back("tiny", 1)

    assert three.pins("tiny") == (1, 3)


def test_rolling_back_may_pass_over_versions(three: Store) -> None:
    three.pin_version("tiny", 1, answered=3)
    three.pin_version("tiny", 2, answered=1)

    three.roll_back("tiny", 3)

    assert three.pins("tiny") == (3,)


@pytest.mark.parametrize("version", [2, 3])
def test_what_was_no_default_before_is_none_to_roll_back_to(three: Store, version: int) -> None:
    three.pin_version("tiny", 2, answered=1)

    with pytest.raises(VersionNotFound, match=r"expected one of the earlier defaults \[1\], got "):
        three.roll_back("tiny", version)

    assert three.pins("tiny") == (2, 1)


def test_a_version_that_is_gone_is_none_to_roll_back_to(three: Store) -> None:
    three.pin_version("tiny", 2, answered=7)

    with pytest.raises(VersionNotFound, match=r"expected one of the versions \[1, 2, 3\], got 7"):
        three.roll_back("tiny", 7)

    assert three.pins("tiny") == (2, 7)


@pytest.mark.parametrize("damaged", [False, True])
def test_unpinning_removes_the_file(three: Store, damaged: bool) -> None:
    three.pin_version("tiny", 2, answered=1)
    if damaged:
        (three.root / "tiny" / DEFAULT_FILE).write_text("latest")

    three.unpin("tiny")

    assert three.pins("tiny") == ()
    assert not (three.root / "tiny" / DEFAULT_FILE).exists()


def test_what_is_not_pinned_can_be_unpinned(three: Store) -> None:
    assert three.pinned_version("tiny") is None

    three.unpin("tiny")

    assert three.pinned_version("tiny") is None


def test_a_promotion_mends_a_damaged_file(three: Store) -> None:
    (three.root / "tiny" / DEFAULT_FILE).write_text("latest")

    three.pin_version("tiny", 2, answered=3)

    assert three.pins("tiny") == (2, 3)


@pytest.mark.parametrize("change", [lambda store: store.unpin("tiny"), lambda store: store.pin_version("tiny", 1)])
def test_a_file_that_can_not_be_replaced_is_a_store_error(three: Store, change: object) -> None:
    (three.root / "tiny" / DEFAULT_FILE).mkdir()
    assert callable(change)

    with pytest.raises(StoreError, match="tiny/default: expected a file that can be written: "):
        change(three)

    assert sorted(entry.name for entry in (three.root / "tiny").iterdir()) == ["1", "2", "3", DEFAULT_FILE]
