import pytest

from training.threads import choose_threads


@pytest.mark.parametrize(
    ("given", "quota", "threads"),
    [({}, 2, "2"), ({}, 0, None), ({"OMP_NUM_THREADS": "1"}, 2, "1")],
    ids=["a quota", "no quota", "said already"],
)
def test_threads_follow_the_quota_of_the_container_unless_they_are_said(
    given: dict[str, str], quota: int, threads: str | None
) -> None:
    environment = dict(given)

    choose_threads(environment, quota=quota)

    assert environment.get("OMP_NUM_THREADS") == threads
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
