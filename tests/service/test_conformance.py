"""Every method of ``tritonclient.http``, of its asyncio sibling too, against the command over a real socket."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import tritonclient.http
import tritonclient.http.aio
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from models.datatypes import Datatype
from models.store import Store
from service.protocol.numbers import BINARY_ONLY
from service.routes.metadata import EXTENSIONS
from tests.drafts import draft
from tests.identities import ONNX_TYPES, identity_draft, name_of, rows_of
from tests.service.running import Server, over_socket

Array = NDArray[Any]
Call = Callable[..., Any]

ROWS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
KINDS = {"sync": tritonclient.http, "asyncio": tritonclient.http.aio}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two versions of ``tiny``, and a model for every datatype."""
    folder = tmp_path_factory.mktemp("conformance")
    store = Store(folder / "store")
    for published in (draft(), draft(seed=1), *map(identity_draft, ONNX_TYPES)):
        store.publish(published)
    with over_socket(store.root, folder / "log") as running:
        running.wait_until_ready()
        yield running


@pytest.fixture(params=KINDS)
def call(request: pytest.FixtureRequest, server: Server) -> Call:
    """Calls a method of a client by its name; the asyncio client's in a loop of its own."""
    if request.param == "sync":

        def call_sync(method: str, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
            with tritonclient.http.InferenceServerClient(server.address) as client:
                return getattr(client, method)(*arguments, **named)

        return call_sync

    async def call_there(method: str, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        async with tritonclient.http.aio.InferenceServerClient(server.address) as client:
            return await getattr(client, method)(*arguments, **named)

    def call_asyncio(method: str, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        # this client does not read the answers of which it only looks at the status, and aiohttp complains of that
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            try:
                return asyncio.run(call_there(method, *arguments, **named))
            finally:
                gc.collect()

    return call_asyncio


def given(array: Array, datatype: Datatype = "FP32", *, name: str = "x", binary: bool = True) -> Any:  # noqa: ANN401
    tensor = tritonclient.http.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    return tensor


def wanted(name: str, *, binary: bool = True, classes: int = 0) -> Any:  # noqa: ANN401
    return tritonclient.http.InferRequestedOutput(name, binary_data=binary, class_count=classes)


ANSWERS: Mapping[str, tuple[tuple[Any, ...], Callable[[Any], bool]]] = {
    "is_server_live": ((), lambda answer: answer is True),
    "is_server_ready": ((), lambda answer: answer is True),
    "is_model_ready": (("tiny", "2"), lambda answer: answer is True),
    "get_server_metadata": ((), lambda answer: answer["extensions"] == list(EXTENSIONS)),
    "get_model_metadata": (("tiny", "1"), lambda answer: answer["versions"] == ["1"]),
    "get_model_config": (("tiny",), lambda answer: answer["input"][0]["dims"] == [4]),
    "get_model_repository_index": (
        (),
        lambda answer: {each["state"] for each in answer} == {"READY"} and len(answer) == 16,
    ),
    "get_inference_statistics": (
        ("tiny", "2"),
        lambda answer: answer["model_stats"][0]["inference_stats"]["success"]["count"] >= 0,
    ),
    "load_model": (("tiny",), lambda answer: answer is None),
}
NOT_SERVED: Mapping[str, tuple[Any, ...]] = {
    "get_trace_settings": (),
    "update_trace_settings": ("tiny", {"trace_level": ["OFF"]}),
    "get_log_settings": (),
    "update_log_settings": ({"log_info": True},),
    "get_system_shared_memory_status": (),
    "register_system_shared_memory": ("region", "/region", 64),
    "unregister_system_shared_memory": ("region",),
    "get_cuda_shared_memory_status": (),
    "register_cuda_shared_memory": ("region", b"handle", 0, 64),
    "unregister_cuda_shared_memory": ("region",),
}
"""Methods of extensions that the server does not say that it has."""
ELSEWHERE = {"infer", "async_infer", "unload_model", "plugin", "register_plugin", "unregister_plugin", "close"}
"""Methods with a test of their own below; ``close`` ends every client here."""
OF_THE_CLIENT_ALONE = {"generate_request_body", "parse_response_body"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_method_of_the_client_is_in_a_table_here(kind: str) -> None:
    client = KINDS[kind].InferenceServerClient

    methods = {name for name in dir(client) if not name.startswith("_")}

    assert methods <= ANSWERS.keys() | NOT_SERVED.keys() | ELSEWHERE | OF_THE_CLIENT_ALONE
    assert ANSWERS.keys() | NOT_SERVED.keys() <= methods


@pytest.mark.parametrize("method", ANSWERS)
def test_a_method_is_answered(call: Call, method: str) -> None:
    arguments, is_right = ANSWERS[method]

    answer = call(method, *arguments)

    assert is_right(answer)


@pytest.mark.parametrize("method", NOT_SERVED)
def test_a_method_of_an_extension_that_is_not_served_raises_a_sentence(call: Call, method: str) -> None:
    arguments = NOT_SERVED[method]

    with pytest.raises(InferenceServerException) as refusal:
        call(method, *arguments)

    assert refusal.value.status() in {"404", "405"}
    assert refusal.value.message()


@pytest.mark.parametrize("binary_out", [True, False], ids=["bytes out", "JSON out"])
@pytest.mark.parametrize("binary_in", [True, False], ids=["bytes in", "JSON in"])
@pytest.mark.parametrize("datatype", ONNX_TYPES)
def test_every_datatype_comes_back_as_it_was_sent(
    call: Call, datatype: Datatype, binary_in: bool, binary_out: bool
) -> None:
    rows = rows_of(datatype)
    if datatype == "BF16":
        rows = rows.view(ml_dtypes.bfloat16)
    if datatype in BINARY_ONLY and not binary_in:
        with pytest.raises(InferenceServerException):
            call("infer", name_of(datatype), [given(rows, datatype, binary=False)])
        return

    result = call(
        "infer",
        name_of(datatype),
        [given(rows, datatype, binary=binary_in)],
        outputs=[wanted("y", binary=binary_out)],
    )

    found = result.as_numpy("y")
    if datatype == "BYTES" and not binary_out:
        found = np.vectorize(str.encode, otypes=[object])(found)
    np.testing.assert_array_equal(found, rows)
    assert ("data" in result.get_output("y")) == (not binary_out and datatype not in BINARY_ONLY)


def logits(call: Call, **named: Any) -> Array:  # noqa: ANN401
    answer: Array = call("infer", "tiny", [given(ROWS)], **named).as_numpy("logits")
    return answer


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_requests_and_answers_are_compressed(call: Call, algorithm: str) -> None:
    many = np.tile(ROWS, (200, 1))
    plain = call("infer", "tiny", [given(many)]).as_numpy("logits")

    answer = call(
        "infer",
        "tiny",
        [given(many)],
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
    )

    assert answer.get_response()["outputs"]
    np.testing.assert_array_equal(answer.as_numpy("logits"), plain)


@pytest.mark.parametrize("binary", [True, False])
def test_the_best_classes_have_their_labels(call: Call, binary: bool) -> None:
    best = logits(call).argmax(axis=1)

    result = call("infer", "tiny", [given(ROWS)], outputs=[wanted("logits", binary=binary, classes=1)])

    classes = [text.decode() if binary else text for text in result.as_numpy("logits").reshape(-1)]
    assert [text.split(":")[1:] for text in classes] == [[str(i), ["no", "yes"][i]] for i in best]


def test_an_id_a_version_a_priority_a_timeout_and_parameters_are_taken(call: Call) -> None:
    result = call(
        "infer",
        "tiny",
        [given(ROWS)],
        model_version="1",
        request_id="mine",
        priority=1,
        timeout=10_000_000,
        parameters={"anything": 7},
        headers={"X-Request-Id": "mine-too"},
    )

    response = result.get_response()
    assert (response["id"], response["model_version"]) == ("mine", "1")


def test_a_request_that_is_out_of_time_raises(call: Call) -> None:
    with pytest.raises(InferenceServerException) as refusal:
        logits(call, timeout=1)

    assert refusal.value.status() == "504"


def test_a_sequence_is_refused(call: Call) -> None:
    with pytest.raises(InferenceServerException) as refusal:
        logits(call, sequence_id=3, sequence_start=True)

    assert refusal.value.status() == "400"


def test_requests_at_once_are_answered_each(server: Server) -> None:
    expected = None
    with tritonclient.http.InferenceServerClient(server.address, concurrency=4) as client:
        expected = client.infer("tiny", [given(ROWS)]).as_numpy("logits")

        asked = [client.async_infer("tiny", [given(ROWS)]) for _ in range(20)]

        for each in asked:
            np.testing.assert_allclose(each.get_result().as_numpy("logits"), expected, rtol=0, atol=1e-6)


def test_a_model_is_unloaded_and_loaded(call: Call) -> None:
    call("unload_model", name_of("INT8"))
    gone = call("is_model_ready", name_of("INT8"))

    call("load_model", name_of("INT8"))

    assert not gone
    assert call("is_model_ready", name_of("INT8"))


def test_a_plugin_of_the_client_adds_its_headers(server: Server) -> None:
    class Adds(tritonclient.http.InferenceServerClientPlugin):  # type: ignore[misc]  # it is not typed
        seen = 0

        def __call__(self, request: Any) -> None:  # noqa: ANN401
            self.seen += 1
            request.headers["X-Request-Id"] = "by-a-plugin"

    plugin = Adds()
    with tritonclient.http.InferenceServerClient(server.address) as client:
        client.register_plugin(plugin)

        client.infer("tiny", [given(ROWS)])

        assert client.plugin() is plugin
        client.unregister_plugin()
    assert plugin.seen == 1
