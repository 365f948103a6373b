import math

import pytest
import torch
from torch.nn import functional

from tests.training.blobs import CLASSES, blobs, network, recipe, splits, state
from training.classifier import Classifier
from training.fit import fit


def test_the_loss_is_the_cross_entropy_of_smoothed_labels() -> None:
    mlp, rows = network(), blobs(16, seed=5)

    loss = Classifier(mlp, recipe(label_smoothing=0.3), steps=1).training_step((rows.values, rows.labels))

    smoothed = 0.7 * functional.one_hot(rows.labels, CLASSES) + 0.3 / CLASSES
    expected = -(smoothed * mlp(rows.values).log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(loss, expected)


def test_a_weighted_loss_is_the_mean_over_rows_of_what_each_counts() -> None:
    mlp, rows, weights = network(), blobs(16, seed=5), torch.tensor([0.5, 2.0, 1.0])

    loss = Classifier(mlp, recipe(), steps=1, class_weights=weights).training_step((rows.values, rows.labels))

    losses = functional.cross_entropy(mlp(rows.values), rows.labels, reduction="none")
    torch.testing.assert_close(loss, (weights[rows.labels] * losses).mean())


def test_weights_of_one_change_no_loss() -> None:
    mlp, rows = network(), blobs(16, seed=5)
    plain, weighted = (
        Classifier(mlp, recipe(label_smoothing=0.1), steps=1, class_weights=weights)
        for weights in (None, torch.ones(CLASSES))
    )

    batch = (rows.values, rows.labels)

    torch.testing.assert_close(weighted.training_step(batch), plain.training_step(batch))


def test_a_class_of_no_weight_is_not_learned() -> None:
    mlp, data = network(), splits()

    fit(mlp, data, recipe(epochs=6), class_weights=torch.tensor([0.0, 1.5, 1.5]))

    with torch.no_grad():
        predicted = mlp(data.test.values).argmax(dim=1)
    of_none = predicted[data.test.labels == 0]
    assert (predicted == data.test.labels)[data.test.labels > 0].all()
    assert (of_none != 0).any()


def test_the_validation_loss_is_that_of_the_network_without_smoothing() -> None:
    mlp, data = network(), splits()

    figures = fit(mlp, data, recipe(label_smoothing=0.2))

    with torch.no_grad():
        loss = functional.cross_entropy(mlp(data.validation.values), data.validation.labels)
    assert figures.validation_loss == pytest.approx(float(loss), rel=1e-5)  # another cut into batches


def test_smoothed_labels_keep_a_network_from_being_sure() -> None:
    sure, careful = network(), network()

    for mlp, smoothing in ((sure, 0.0), (careful, 0.3)):
        fit(mlp, splits(), recipe(epochs=8, label_smoothing=smoothing))

    rows = splits().test.values
    with torch.no_grad():
        confidence = [float(mlp(rows).softmax(dim=1).amax(dim=1).mean()) for mlp in (sure, careful)]
    # at 0.3 the loss is lowest where the right class has 0.8
    assert confidence[1] < confidence[0]


def test_a_bound_of_the_gradient_bounds_the_step() -> None:
    free, bound = network(), network()
    one_step = {"epochs": 1, "batch_rows": 48, "optimizer": "sgd", "momentum": 0.0, "schedule": "constant"}

    fit(free, splits(), recipe(**one_step, learning_rate=1.0))
    fit(bound, splits(), recipe(**one_step, learning_rate=1.0, max_gradient_norm=0.01))

    start = state(network())
    length = [
        math.sqrt(sum(float((p.detach() - start[name]).square().sum()) for name, p in mlp.named_parameters()))
        for mlp in (free, bound)
    ]
    assert length[0] > 0.1
    assert length[1] == pytest.approx(0.01, rel=1e-3)  # torch divides by the norm plus 1e-6
