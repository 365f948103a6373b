"""This module makes the network of the studies: a small ConvNet, fitted to MNIST and published as a bundle.

It is fitted once, and stays in its store for the commands that follow.
"""

from __future__ import annotations

from pathlib import Path

import lightning
import numpy as np
import torch

from benchmarks.drift.data import Images, Mnist
from folding.proof import draft
from models.bundle import Bundle
from models.store import Store
from models.training import TrainingRecord
from training.accuracy import served_accuracy
from training.data import Rows, Splits
from training.data.batches import pass_rows, read_all
from training.data.idx import IdxFiles
from training.drafting import INPUT_NAME, OUTPUT_NAME
from training.fit import fit
from training.networks import build_network
from training.population import estimate_population_statistics
from training.publishing import describe, export_network, parameter_arrays
from training.recipe import Recipe

# of the data it says the format alone: the rows are a part of MNIST, see data.py
RECIPE = Recipe(
    name="mnist",
    network="convnet",
    arguments={"in_channels": 1, "num_classes": 10, "widths": [16, 16, 32, 32]},
    data=IdxFiles(folder=Path("mnist")),
    epochs=2,
    batch_rows=128,
    learning_rate=0.01,
    weight_decay=0.0005,
    seed=1,
)


def load_network(store: Store, data: Mnist, recipe: Recipe = RECIPE) -> Bundle:
    """The network from its store; fitted to the data and published there first, if it is not yet.

    Raises:
        TrainingError, GraphError, StoreError, BundleError: If it can't be.
    """
    versions = store.versions(recipe.name)
    return Bundle.open(store.bundle_path(recipe.name, versions[-1])) if versions else _publish(store, data, recipe)


def _publish(store: Store, data: Mnist, recipe: Recipe) -> Bundle:
    """What ``training.job.run`` does, with data that no recipe can name."""
    labels = tuple(str(label) for label in np.unique(data.train.labels))
    splits = Splits("mnist", labels, _rows(data.train), _rows(data.validation), _rows(data.test))
    lightning.seed_everything(recipe.seed, workers=True, verbose=False)
    network = build_network(recipe.network, recipe.arguments)
    fitted = fit(network, splits, recipe)
    train = read_all(splits.train)
    estimate_population_statistics(network, torch.split(train, pass_rows(splits.train)))
    exported = export_network(
        network,
        train[:2],
        mode=recipe.fold,
        rows=read_all(splits.validation)[:256],
        names=([INPUT_NAME], [OUTPUT_NAME]),
    )
    training = TrainingRecord(
        rows=len(train),
        data=splits.record(),
        recipe=recipe.model_dump(mode="json"),
        metrics={"train_loss": fitted.train_loss, "test_accuracy": served_accuracy(exported.graph, splits.test)},
        seconds=round(fitted.seconds, 3),
        libraries={"torch": torch.__version__, "lightning": lightning.__version__},
    )
    return store.publish(
        draft(
            exported,
            name=recipe.name,
            network=describe(network, recipe.network, recipe.arguments),
            labels=splits.labels,
            training=training,
            parameters=parameter_arrays(network),
        )
    )


def _rows(images: Images) -> Rows:
    return Rows(torch.from_numpy(images.pixels), torch.from_numpy(images.labels))
