from models.bundle import Bundle
from service.normalization.seen import ClosedWindow, Seen
from service.normalization.sight import Sight
from tests.service.normalization.watching import sight_of
from tests.service.observing import normal_rows

NOTHING = Sight.nothing(3)


def seen(bundle: Bundle, rows: int, *, window: ClosedWindow | None = None, share: float = 0.5) -> Seen:
    """What a process saw that observed so many rows, none of which make a window yet unless one is given."""
    sight = sight_of(bundle, normal_rows(rows))
    return Seen(share=share, rows_seen=10 * rows, rows_dropped=1, total=sight, window=window, open=sight)


def window(bundle: Bundle, *, until: float) -> ClosedWindow:
    """A window that was closed at some time."""
    return ClosedWindow(sight_of(bundle, normal_rows(4), since=until - 1, until=until), None)


def test_what_two_processes_saw_adds_up(bundle: Bundle) -> None:
    """Each row ran in one of them."""
    one, other = seen(bundle, 3, share=0.25), seen(bundle, 4)

    both = one.merge(other)

    assert (both.rows_seen, both.rows_dropped, both.total.rows, both.open.rows) == (70, 2, 7, 7)
    assert both.share == (0.25 * 30 + 0.5 * 40) / 70


def test_the_last_window_is_that_which_was_closed_last(bundle: Bundle) -> None:
    """In whichever process."""
    early, late = window(bundle, until=10.0), window(bundle, until=20.0)

    found = [
        seen(bundle, 1, window=early).merge(seen(bundle, 1, window=late)).window,
        seen(bundle, 1, window=late).merge(seen(bundle, 1, window=early)).window,
        seen(bundle, 1, window=late).merge(seen(bundle, 1)).window,
        seen(bundle, 1).merge(seen(bundle, 1, window=late)).window,
    ]

    assert found == [late] * 4


def test_before_a_window_is_complete_what_there_is_of_it_is_shown(bundle: Bundle) -> None:
    """Without a judgement, since it is not complete."""
    so_far = seen(bundle, 3)

    shown = so_far.shown

    assert (shown.sight, shown.judgement) == (so_far.open, None)


def test_once_a_window_is_complete_it_is_shown(bundle: Bundle) -> None:
    """However much of the next one there is."""
    last = window(bundle, until=10.0)

    shown = seen(bundle, 3, window=last).shown

    assert shown is last


def test_what_two_processes_saw_without_a_window_is_shown_together(bundle: Bundle) -> None:
    """Their open windows merge."""
    both = seen(bundle, 3).merge(seen(bundle, 4))

    shown = both.shown

    assert shown.sight.rows == 7
    assert NOTHING.merge(shown.sight).rows == 7
