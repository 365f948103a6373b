import pytest

from service.history.backoff import Backoff


@pytest.mark.parametrize(("failures", "longest"), [(1, 0.25), (2, 0.5), (5, 4), (8, 30), (10_000, 30)])
def test_the_wait_doubles_up_to_a_bound_less_a_part_by_chance(failures: int, longest: float) -> None:
    backoff = Backoff(first_s=0.25, most_s=30)

    delays = {backoff.delay_s(failures) for _ in range(100)}

    assert longest / 2 <= min(delays) <= max(delays) <= longest
    assert len(delays) > 1
