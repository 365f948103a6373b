"""This module is the floor: the smallest server that could answer the same requests with the same bytes.

    python -m benchmarks.serving.floor MODEL.onnx --name NAME --port PORT --threads N [--in-thread]

A plain ASGI app under uvicorn, uvloop and httptools. It validates nothing, counts nothing, batches nothing, and knows
one network: whatever a service does beyond this is what it does for its users, and what that costs is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import orjson
import uvicorn
from numpy.typing import NDArray

from benchmarks.serving.runtime import open_session

Messages = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

HEADER_LENGTH = b"inference-header-content-length"


class Floor:
    """The app.

    Args:
        session: What answers.
        name: What the model is called in answers.
        executor: Where the session runs; None for the event loop.
    """

    def __init__(self, session: onnxruntime.InferenceSession, name: str, executor: ThreadPoolExecutor | None) -> None:
        self._session = session
        self._name = name
        self._output = session.get_outputs()[0].name
        self._executor = executor

    async def __call__(self, scope: dict[str, Any], receive: Messages, send: Send) -> None:
        """Answer whatever comes."""
        if scope["method"] != "POST":  # whether it is ready
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})
            return
        chunks = []
        more = True
        while more:
            message = await receive()
            chunks.append(message.get("body", b""))
            more = message.get("more_body", False)
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        length = next((int(value) for key, value in scope["headers"] if key == HEADER_LENGTH), None)
        request = orjson.loads(memoryview(body)[:length])
        source = request["inputs"][0]
        array = np.array(source["data"], np.float32) if length is None else np.frombuffer(body[length:], np.float32)
        result = await self._run({source["name"]: array.reshape(source["shape"])})
        head, answer = self._write(result, binary=length is not None)
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": answer})

    async def _run(self, feed: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        if self._executor is None:
            return self._session.run(None, feed)[0]  # type: ignore[no-any-return]
        return (await asyncio.get_running_loop().run_in_executor(self._executor, self._session.run, None, feed))[0]  # type: ignore[no-any-return]

    def _write(self, result: NDArray[np.float32], *, binary: bool) -> tuple[list[tuple[bytes, bytes]], bytes]:
        output: dict[str, Any] = {"name": self._output, "shape": result.shape, "datatype": "FP32"}
        blob = b""
        if binary:
            blob = result.tobytes()
            output["parameters"] = {"binary_data_size": len(blob)}
        else:
            output["data"] = result.reshape(-1)
        answer = {"model_name": self._name, "model_version": "1", "outputs": [output]}
        header = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
        head = [(b"content-length", b"%d" % (len(header) + len(blob)))]
        if binary:
            head += [(b"content-type", b"application/octet-stream"), (HEADER_LENGTH, b"%d" % len(header))]
        else:
            head += [(b"content-type", b"application/json")]
        return head, header + blob


def main() -> int:
    """Serve until a signal ends it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.floor")
    parser.add_argument("model", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--in-thread", action="store_true", help="run the session in a thread of its own")
    options = parser.parse_args()
    session = open_session(options.model, threads=options.threads)
    app = Floor(session, options.name, ThreadPoolExecutor(1) if options.in_thread else None)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=options.port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        ws="none",
        access_log=False,
        server_header=False,
        log_level="error",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
