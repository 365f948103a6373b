import pytest

from benchmarks.serving.rounds import ROUNDS_A_START, rounds_by_start


@pytest.mark.parametrize("rounds", [0, 1, ROUNDS_A_START - 1, ROUNDS_A_START, ROUNDS_A_START + 1, 36])
def test_every_round_is_measured_once_in_its_order(rounds: int) -> None:
    """Whatever is left of the last start."""
    found = [number for numbers in rounds_by_start(rounds) for number in numbers]

    assert found == list(range(rounds))


def test_servers_are_started_anew_after_as_many_rounds() -> None:
    """And not more often: that takes longer than the rounds."""
    found = [len(numbers) for numbers in rounds_by_start(2 * ROUNDS_A_START + 1)]

    assert found == [ROUNDS_A_START, ROUNDS_A_START, 1]
