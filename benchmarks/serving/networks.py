"""This module is what is served: networks that the benchmark builds once, and their rows."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.runtime import open_session
from models.bundle import Bundle
from models.store import Store

Rows = NDArray[np.float32]

ROOT = Path(__file__).parents[2]
STORES = Path("runs") / "serving"
NUM_ROWS = 4
"""How many different rows are asked about."""


@dataclass(frozen=True, slots=True)
class Network:
    """A served network with one input and one output, both of FP32.

    Attributes:
        name: What its bundle is called.
        store: The store that it lives in.
        version: Of the bundle.
        model_path: The graph that every contender runs.
        input_name: What the graph calls its input.
        row_shape: Of one row.
        output_name: What the graph calls its output.
    """

    name: str
    store: Path
    version: int
    model_path: Path
    input_name: str
    row_shape: tuple[int, ...]
    output_name: str

    @classmethod
    def of(cls, bundle: Bundle) -> Network:
        """What a bundle holds."""
        manifest = bundle.manifest
        (source,), (result,) = manifest.inputs, manifest.outputs
        assert source.datatype == result.datatype == "FP32"
        return cls(
            name=manifest.name,
            store=bundle.path.parents[1],
            version=manifest.version,
            model_path=bundle.model_path,
            input_name=source.name,
            row_shape=tuple(source.shape[1:]),
            output_name=result.name,
        )

    @property
    def num_values(self) -> int:
        """Values in a row."""
        return math.prod(self.row_shape)

    def rows(self, count: int = NUM_ROWS) -> Rows:
        """Normal random rows; the same every time."""
        return np.random.default_rng(0).standard_normal((count, *self.row_shape), dtype=np.float32)

    def answers(self, rows: Rows) -> Rows:
        """What the graph answers, of shape ``(rows, classes)``, each row on its own."""
        session = open_session(self.model_path, threads=1)
        return np.concatenate(
            [np.asarray(session.run(None, {self.input_name: rows[i : i + 1]})[0]) for i in range(len(rows))]
        )


@dataclass(frozen=True, slots=True)
class Origin:
    """How a network is made: a name of ``bntrain networks``, its arguments, and the shape of a row."""

    network: str
    row_shape: tuple[int, ...]
    arguments: Mapping[str, Any]


ORIGINS: Mapping[str, Origin] = {
    "cnn": Origin("convnet", (1, 28, 28), {"widths": [48, 48, 64]}),
    "mlp": Origin("mlp", (784,), {"in_features": 784, "widths": [512, 256]}),
    "resnet18": Origin("resnet18", (3, 224, 224), {}),
}
"""None is trained: how fast a network runs does not depend on how well."""


def demo() -> Network:
    """The committed demo, for runs of seconds."""
    return Network.of(committed().open("digits", 1))


def committed() -> Store:
    """A store with the committed bundles alone, by links: what was published beside them since is not measured."""
    store = Store(STORES.resolve() / "committed")
    for name in ("digits", "digits-mlp"):
        source, link = ROOT / "models" / "store" / name / "1", store.bundle_path(name, 1)
        if link.resolve() != source.resolve():  # not there yet, or of a clone that was moved
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(source)
    return store


def built(name: str) -> Network:
    """A network of the list, which is exported if it is not there yet, into a store of its own."""
    store = Store(STORES.resolve() / name)
    if not store.versions(name):
        _export(name, ORIGINS[name], store.root)
    return Network.of(store.open(name, store.versions(name)[0]))


def _export(name: str, origin: Origin, store: Path) -> None:
    command = [sys.executable, "-m", "training", "export", "--name", name, "--store", str(store), "--allow-untrained"]
    command += ["--network", origin.network, "--input-shape", ",".join(map(str, origin.row_shape))]
    for key, value in origin.arguments.items():
        command += ["--argument", f"{key}={value}"]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)  # noqa: S603  the project's own command
