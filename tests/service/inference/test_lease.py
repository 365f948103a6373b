import contextlib

import pytest

from models.store import Store
from service.inference.lease import Lease
from service.inference.run_threads import RunThreads
from service.inference.served_model import ServedModel
from tests.service.inference.registries import is_closed, loader_of


@pytest.fixture
def served(tiny: Store, run_threads: RunThreads) -> ServedModel:
    """A model in memory."""
    return loader_of(tiny, run_threads)("tiny", 1)


def test_a_model_that_nobody_holds_is_closed_at_once(served: ServedModel) -> None:
    lease = Lease(served)

    lease.retire()

    assert is_closed(served)


def test_a_model_is_not_closed_while_it_may_be_given_to_others(served: ServedModel) -> None:
    lease = Lease(served)

    with lease:
        pass

    assert not is_closed(served)


def test_a_model_is_closed_when_the_last_request_has_its_answer(served: ServedModel) -> None:
    lease = Lease(served)
    seen = []

    with lease:
        with lease as held:
            lease.retire()
            seen.append(is_closed(held))
        seen.append(is_closed(served))

    assert seen == [False, False]
    assert is_closed(served)


def test_a_request_that_fails_lets_go_of_its_model(served: ServedModel) -> None:
    lease = Lease(served)

    with contextlib.suppress(KeyError), lease:
        lease.retire()
        raise KeyError

    assert is_closed(served)
