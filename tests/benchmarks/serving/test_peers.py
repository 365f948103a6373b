"""This module tests what can be told of the peers without installing them."""

from __future__ import annotations

import numpy as np
import orjson
import pytest

from benchmarks.serving.forms import Form, Message
from benchmarks.serving.networks import demo
from benchmarks.serving.peers.asking import BENTOML, LITSERVE
from benchmarks.serving.peers.setups import PEERS, Peer


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_version_is_pinned(peer: Peer) -> None:
    loose = [requirement for requirement in peer.requirements if "==" not in requirement]

    assert loose == []


@pytest.mark.parametrize(
    ("form", "shape"), [(LITSERVE, (1, 8, 8)), (BENTOML, (1, 1, 8, 8))], ids=["LitServe", "BentoML"]
)
def test_rows_are_asked_for_as_nested_lists(form: Form, shape: tuple[int, ...]) -> None:
    row = demo().rows(1)

    request = form.request(demo(), row)

    body = request.partition(b"\r\n\r\n")[2]
    sent = np.array(orjson.loads(body)["rows"], np.float32)
    assert sent.shape == shape
    assert np.array_equal(sent.reshape(row.shape), row)


@pytest.mark.parametrize("body", [b"[1.5,-2.0]", b"[[1.5,-2.0]]"])
def test_answers_are_read_with_or_without_a_batch(body: bytes) -> None:
    logits = LITSERVE.read(Message(body))

    assert logits.tolist() == [[1.5, -2.0]]
