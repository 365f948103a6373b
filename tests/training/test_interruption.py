import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from training.interruption import Interrupted, Interruption


@pytest.fixture(autouse=True)
def nothing_is_ignored() -> Iterator[None]:
    """A shell that starts something in the background has it ignore SIGINT."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def raise_signal(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_breaks_off_what_is_not_deferred(number: int) -> None:
    with Interruption() as interruption, pytest.raises(Interrupted) as raised:
        raise_signal(number)

    assert raised.value.number == interruption.received == number


def test_a_deferred_stretch_is_finished_first() -> None:
    done: list[str] = []

    def finish(interruption: Interruption) -> None:
        with interruption.deferred():
            raise_signal(signal.SIGTERM)
            done.append("the stretch")

    with Interruption() as interruption, pytest.raises(Interrupted):
        finish(interruption)

    assert done == ["the stretch"]


def test_a_deferred_stretch_can_leave_where_it_likes() -> None:
    done: list[str] = []

    def leave(interruption: Interruption) -> None:
        with interruption.deferred():
            raise_signal(signal.SIGTERM)
            interruption.leave()
            done.append("the rest")

    with Interruption() as interruption, pytest.raises(Interrupted):
        leave(interruption)

    assert done == []


def test_without_a_signal_nothing_is_broken_off() -> None:
    with Interruption() as interruption, interruption.deferred():
        interruption.leave()

    assert interruption.received is None


def test_it_takes_the_signals_back_from_whoever_took_them() -> None:
    with Interruption() as interruption:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        interruption.listen()

        with pytest.raises(Interrupted):
            raise_signal(signal.SIGTERM)


def test_afterwards_signals_do_what_they_did() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]

    with Interruption() as interruption:
        interruption.ignore()

    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_what_is_done_is_not_broken_off() -> None:
    with Interruption() as interruption:
        interruption.ignore()
        raise_signal(signal.SIGTERM)

    assert interruption.received is None


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)

    assert interruption.received is None


def test_the_second_signal_ends_the_process_on_the_spot() -> None:
    code = """
import os, signal
from training.interruption import Interruption
with Interruption() as interruption, interruption.deferred():
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGTERM)
    print("not reached", flush=True)
"""

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr) == (143, b"", b"")
