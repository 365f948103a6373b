"""The accuracy that a manifest states is that of the file that is served, over every row of a split."""

import numpy as np
import onnxruntime
import torch
from torch import nn

from models.bundle import Bundle
from tests.training.examples import build, export, normal_rows
from training.accuracy import served_accuracy
from training.data import Rows
from training.data.batches import PASS_ROWS, read_all
from training.data.digits import Digits


def test_every_row_counts_once_however_many_batches_there_are() -> None:
    network = build(lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)))
    values = normal_rows(2 * PASS_ROWS + 1, 3)
    with torch.no_grad():
        labels = network(values).argmax(dim=1)
    labels[::10] = (labels[::10] + 1) % 4  # a tenth is wrong, the last row of all among them

    accuracy = served_accuracy(export(network, values), Rows(values, labels))

    assert accuracy == 1 - len(labels[::10]) / len(labels)


def test_the_manifest_states_what_the_published_file_answers(short: Bundle) -> None:
    data, training = Digits().load(), short.manifest.training
    session = onnxruntime.InferenceSession(short.model_path, providers=["CPUExecutionProvider"])
    assert training is not None

    measured = {}
    for split, rows in (("validation", data.validation), ("test", data.test)):
        (logits,) = session.run(None, {"image": read_all(rows).numpy()})
        measured[f"{split}_accuracy"] = float((np.argmax(logits, axis=1) == rows.labels.numpy()).mean())

    assert {name: training.metrics[name] for name in measured} == measured
