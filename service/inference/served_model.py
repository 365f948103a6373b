"""This module is one bundle in memory, ready to answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

from models.bundle import Bundle
from models.layers import NormalizationLayer
from models.manifest import Manifest
from service.inference.engine import Engine
from service.inference.signature import match_inputs, match_outputs
from service.protocol.messages import InferenceAnswer, InferenceRequest, Tensor

OpenEngine = Callable[[Bundle], Engine]


class ServedModel:
    """A model version whose graph is loaded and has passed its self-test.

    Attributes:
        manifest: What the bundle says of itself.
        layers: Its normalization layers with their parameters and statistics.
    """

    def __init__(
        self, manifest: Manifest, layers: tuple[NormalizationLayer, ...], engine: Engine, executor: Executor
    ) -> None:
        self.manifest = manifest
        self.layers = layers
        self._engine = engine
        self._executor = executor
        self._datatypes = {record.name: record.datatype for record in manifest.outputs}

    @classmethod
    def load(cls, bundle: Bundle, open_engine: OpenEngine, executor: Executor) -> ServedModel:
        """Load a bundle and see that it computes what it should; takes as long as it takes.

        Raises:
            BundleError: If its arrays are damaged.
            EngineError: If its graph can't be loaded or fails its self-test.
        """
        layers, sample = bundle.normalization(), bundle.sample()
        engine = open_engine(bundle)
        engine.self_test(sample)
        return cls(bundle.manifest, layers, engine, executor)

    @property
    def device(self) -> str:
        """Where its graph runs, ``cpu`` or ``cuda:N``."""
        return self._engine.device

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.manifest.name

    @property
    def version(self) -> str:
        """Its version, as the protocol writes it."""
        return str(self.manifest.version)

    async def infer(self, request: InferenceRequest) -> InferenceAnswer:
        """Answer a request; the graph runs in a thread, so others are answered meanwhile.

        Raises:
            InvalidRequest: If the request's tensors are not those of this model.
            EngineError: If the runtime fails.
        """
        inputs = match_inputs(request.inputs, self.manifest.inputs)
        names = match_outputs(request.outputs, self.manifest.outputs)
        loop = asyncio.get_running_loop()
        arrays = await loop.run_in_executor(self._executor, self._engine.run, inputs, names)
        return InferenceAnswer(
            model_name=self.name,
            model_version=self.version,
            id=request.id,
            outputs=[Tensor(name, self._datatypes[name], array) for name, array in zip(names, arrays, strict=True)],
            binary=request.binary_names(names),
        )
