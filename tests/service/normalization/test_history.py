"""Windows of what is served are in a database, and can be read from it."""

import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle
from models.store import Store
from service.errors import HistoryUnavailable
from service.history.period import Period
from service.inference.served_model import ServedModel
from service.normalization.history import History, refuse_unknown_url
from service.normalization.seen import ClosedWindow
from tests.service.history.parts import until_true
from tests.service.normalization.watching import judge_of, sight_of
from tests.service.observing import normal_rows


@pytest.fixture
def history(store: Store) -> Iterator[History]:
    """A history beside the store, started."""
    made = History("", store.root)
    made.start()
    yield made
    made.close()


def window_of(bundle: Bundle, rows: int, *, seed: int = 0) -> ClosedWindow:
    """A window of now."""
    now = datetime.now(UTC).timestamp()
    sight = sight_of(bundle, normal_rows(rows, seed=seed), since=now - 1, until=now)
    return ClosedWindow(sight, judge_of(bundle).judge(sight.moments))


def read(history: History, served: ServedModel) -> Sequence[Period]:
    now = datetime.now(UTC)
    return history.read(served, now - timedelta(hours=1), now + timedelta(hours=1), "window", 100)


def stored(history: History) -> int:
    status = history.status()
    return 0 if status is None else status.stored


def test_a_window_that_is_recorded_can_be_read(history: History, served: ServedModel, bundle: Bundle) -> None:
    """With the moments of every layer's input, bit by bit."""
    window, judge = window_of(bundle, 40), judge_of(bundle)

    history.record(served, judge, window)
    until_true(lambda: stored(history) == 1)

    (period,) = read(history, served)
    (expected,) = window.sight.moments.of_inputs(judge.columns, served.layers)
    assert (period.rows, period.rows_not_finite, period.windows, period.version) == (40, 0, 1, 1)
    np.testing.assert_array_equal(period.layers[0].mean, expected.mean)
    np.testing.assert_array_equal(period.layers[0].m2, expected.m2)


def test_a_window_survives_a_restart(store: Store, served: ServedModel, bundle: Bundle) -> None:
    """It is in a file beside the store."""
    before = History("", store.root)
    before.start()
    before.record(served, judge_of(bundle), window_of(bundle, 40))
    before.close()

    after = History("", store.root)
    found = read(after, served)
    after.close()

    assert [period.rows for period in found] == [40]
    assert store.root.with_name(f"{store.root.name}-history.sqlite").is_file()


def test_a_history_can_be_elsewhere(tmp_path: Path, store: Store, served: ServedModel, bundle: Bundle) -> None:
    """Where its URL says, and nowhere else."""
    path = tmp_path / "else where" / "history.sqlite"
    history = History(f"sqlite:///{path}", store.root)
    history.start()

    history.record(served, judge_of(bundle), window_of(bundle, 40))
    history.close()

    assert path.is_file()
    assert not list(store.root.parent.glob("store-history*"))


def test_without_a_history_nothing_is_kept_and_reading_says_so(
    store: Store, served: ServedModel, bundle: Bundle
) -> None:
    """Nothing of a database is touched."""
    history = History("none", store.root)
    history.start()
    history.record(served, judge_of(bundle), window_of(bundle, 40))

    with pytest.raises(HistoryUnavailable, match=r"^history_url: expected the URL of a database, it is none"):
        read(history, served)

    assert history.status() is None
    history.close()
    assert not list(store.root.parent.glob("store-history*"))


def test_before_the_start_windows_are_not_kept(store: Store, served: ServedModel, bundle: Bundle) -> None:
    """There is none before the service is ready; to tell of one is no mistake."""
    history = History("", store.root)

    history.record(served, judge_of(bundle), window_of(bundle, 40))

    assert history.status() is None
    history.close()


def test_a_history_that_was_closed_does_not_start(store: Store) -> None:
    """The service may end while it is only starting."""
    history = History("", store.root)
    history.close()

    history.start()

    assert history.status() is None


def test_several_threads_read_at_once(history: History, served: ServedModel, bundle: Bundle) -> None:
    """Requests do."""
    history.record(served, judge_of(bundle), window_of(bundle, 40))
    until_true(lambda: stored(history) == 1)
    found: list[int] = []

    threads = [threading.Thread(target=lambda: found.append(len(read(history, served)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [1] * 4


def test_a_database_that_can_not_be_opened_is_told_by_the_status(
    tmp_path: Path, store: Store, served: ServedModel, bundle: Bundle
) -> None:
    """Windows wait for it, and whoever records them does not."""
    in_the_way = tmp_path / "file"
    in_the_way.write_text("no folder")
    history = History(f"sqlite:///{in_the_way}/history.sqlite", store.root)
    history.start()

    history.record(served, judge_of(bundle), window_of(bundle, 40))

    until_true(lambda: (status := history.status()) is not None and status.problem is not None)
    status = history.status()
    assert status is not None
    assert (status.connected, status.stored, status.buffered) == (False, 0, 1)
    history.close()


@pytest.mark.parametrize("text", ["", "none", "sqlite:///history.sqlite", "sqlite:////var/history.sqlite"])
def test_what_names_a_database_is_taken(text: str) -> None:
    """Or says that there is none."""
    refuse_unknown_url(text)  # does not raise


@pytest.mark.parametrize("text", ["None", "mysql://me:secret@host/db", "secret", "postgresql://me:secret@host:port/db"])
def test_what_names_no_database_is_refused_without_being_repeated(text: str) -> None:
    """There may be a password in it."""
    with pytest.raises(ValueError, match="expected") as refusal:
        refuse_unknown_url(text)

    assert "secret" not in str(refusal.value)
