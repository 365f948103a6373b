"""This module is one bundle in memory, ready to answer."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from typing import Any

from models.kept_statistics import KeptStatistics
from models.manifest import Manifest
from service.inference.batcher import Batcher, Run
from service.inference.engine import Engine
from service.inference.job import Job, Outcome
from service.inference.observer import VersionObserver
from service.inference.signature import Signature
from service.protocol.classification import classify
from service.protocol.messages import InferenceAnswer, InferenceRequest, Tensor


class ServedModel:
    """A model version whose graph is loaded, warm, and has passed its self-test.

    Attributes:
        manifest: What the bundle says of itself.
        layers: Its normalization layers with their parameters and statistics.
        atoms: Of its inputs that have any.
        watched: All that is observed: its layers, then its inputs that have atoms.
        moving_averages: What the fit left in a layer, by the layer's name, where that is known.
        name: Name of the model.
        version: Its version, as the protocol writes it.
        device: Where its graph runs: ``cpu``, ``cuda:N`` or ``tensorrt:N``.
        requested_device: Where it was asked to, in the words of the settings.
        threads: Threads of one run on the CPU.
        rules: How its rows share runs.
        observer: Told of what it answers.
        closed: Whether it was closed.
        engine: Runs its graph.
    """

    def __init__(
        self,
        manifest: Manifest,
        statistics: KeptStatistics,
        *,
        engine: Engine,
        batcher: Batcher,
        observer: VersionObserver,
    ) -> None:
        self.manifest = manifest
        self.layers = statistics.layers
        self.atoms = statistics.atoms
        self.watched = statistics.watched
        self.moving_averages = statistics.moving_averages
        self.name = manifest.name
        self.version = str(manifest.version)
        self.device = engine.device
        self.requested_device = engine.requested_device
        self.threads = engine.threads
        self.rules = batcher.rules
        self.observer = observer
        self.closed = False
        self.engine = engine
        self._batcher = batcher
        self._signature = Signature(manifest.inputs, manifest.outputs)
        self._datatypes = {record.name: record.datatype for record in manifest.outputs}

    def submit(self, request: InferenceRequest, *, deadline: float | None) -> Job:
        """Queue a request's rows.

        Args:
            request: As it was decoded.
            deadline: When its answer is no longer wanted, as ``time.perf_counter`` counts; None for never.

        Raises:
            InvalidRequest: If the request's tensors are not those of this model.
            Overloaded: If as many requests wait as may.
        """
        inputs = self._signature.match_inputs(request.inputs)
        job = Job(
            inputs=inputs,
            outputs=self._signature.match_outputs(request.outputs),
            rows=len(next(iter(inputs.values()))),
            kind=tuple(array.shape[1:] for array in inputs.values()),
            priority=request.priority or DEFAULT_PRIORITY,
            deadline=deadline,
            answer=asyncio.get_running_loop().create_future(),
            queued_at=time.perf_counter(),
        )
        self._batcher.submit(job)
        return job

    def expect_room(self) -> None:
        """See that another request may wait.

        Raises:
            Overloaded: If as many wait as may.
        """
        self._batcher.expect_room()

    async def outcome(self, job: Job, gone: Callable[[], Coroutine[Any, Any, object]]) -> Outcome:
        """Wait for a job that was submitted here; arguments and errors are those of the batcher."""
        return await self._batcher.outcome(job, gone)

    def divert(self, run: Run) -> None:
        """Run something that gives the same in the place of the graph, from now on. Any thread may call."""
        self._batcher.divert(run)

    def close(self) -> None:
        """Let go of the graph; no request may come after this, and those that came are answered."""
        self.closed = True
        self._batcher.close()

    def answer(self, request: InferenceRequest, job: Job, outcome: Outcome) -> InferenceAnswer:
        """The answer to a request whose rows were run."""
        outputs = [
            Tensor(name, self._datatypes[name], array) for name, array in zip(job.outputs, outcome.outputs, strict=True)
        ]
        if request.outputs is not None:
            outputs = [
                self._classified(tensor, wanted.classification) if wanted.classification else tensor
                for tensor, wanted in zip(outputs, request.outputs, strict=True)
            ]
        return InferenceAnswer(
            model_name=self.name,
            model_version=self.version,
            id=request.id,
            outputs=outputs,
            binary=request.binary_names(job.outputs),
        )

    def _classified(self, tensor: Tensor, count: int) -> Tensor:
        labels = self.manifest.labels
        if labels is not None and len(labels) != math.prod(tensor.array.shape[1:]):
            labels = None  # they are those of another output
        return classify(tensor, count, labels)


DEFAULT_PRIORITY = 2
"""Of requests that name none: 1 goes before them, 3 and above behind."""
