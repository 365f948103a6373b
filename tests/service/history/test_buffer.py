from service.history.buffer import Buffer, BufferLimits
from tests.service.history.parts import window

A, B, C, D = (window() for _ in range(4))


def test_windows_are_taken_in_their_order() -> None:
    buffer = Buffer(BufferLimits())
    for one in (A, B, C):
        buffer.add(one)

    taken = [buffer.take(2, 10**6), buffer.take(2, 10**6), buffer.take(2, 10**6)]

    assert taken == [[A, B], [C], []]


def test_the_oldest_goes_where_there_is_no_room_for_another_window() -> None:
    buffer = Buffer(BufferLimits(windows=2))

    dropped = [buffer.add(one) for one in (A, B, C)]

    assert dropped == [0, 0, 1]
    assert buffer.take(9, 10**6) == [B, C]


def test_the_oldest_goes_where_there_is_no_room_for_another_byte() -> None:
    buffer = Buffer(BufferLimits(nbytes=2 * A.nbytes))

    dropped = [buffer.add(one) for one in (A, B, C)]

    assert dropped == [0, 0, 1]
    assert buffer.take(9, 10**6) == [B, C]


def test_a_window_that_is_larger_than_all_the_room_is_dropped() -> None:
    buffer = Buffer(BufferLimits(nbytes=A.nbytes - 1))

    dropped = buffer.add(A)

    assert dropped == 1
    assert len(buffer) == 0


def test_what_was_taken_counts_and_is_not_dropped() -> None:
    buffer = Buffer(BufferLimits(windows=2))
    buffer.add(A)
    buffer.add(B)
    taken = buffer.take(2, 10**6)

    dropped = buffer.add(C)

    assert (dropped, len(buffer)) == (1, 2)
    assert buffer.put_back(taken) == 0
    assert buffer.take(9, 10**6) == [A, B]


def test_what_is_put_back_comes_first() -> None:
    buffer = Buffer(BufferLimits())
    for one in (A, B, C):
        buffer.add(one)

    buffer.put_back(buffer.take(2, 10**6))

    assert buffer.take(9, 10**6) == [A, B, C]


def test_what_is_done_makes_room() -> None:
    buffer = Buffer(BufferLimits(windows=1, nbytes=A.nbytes))
    buffer.add(A)
    buffer.done(buffer.take(1, 10**6))

    dropped = buffer.add(B)

    assert (dropped, len(buffer)) == (0, 1)


def test_one_window_is_taken_however_large_and_others_by_their_bytes() -> None:
    buffer = Buffer(BufferLimits())
    for one in (A, B, C):
        buffer.add(one)

    taken = [buffer.take(9, 1), buffer.take(9, 2 * B.nbytes)]

    assert taken == [[A], [B, C]]


def test_a_closed_buffer_takes_nothing_more_and_gives_what_it_has() -> None:
    buffer = Buffer(BufferLimits())
    buffer.add(A)
    buffer.close()

    dropped = buffer.add(B)

    assert dropped == 1
    assert buffer.take(9, 10**6) == [A]


def test_what_is_cleared_is_counted_with_what_was_taken() -> None:
    buffer = Buffer(BufferLimits())
    for one in (A, B, C):
        buffer.add(one)
    buffer.take(1, 10**6)

    assert buffer.clear() == 3
