import json

import pytest
import torch
from torch import nn

from training.data import Rows, Splits
from training.data.digits import Digits
from training.errors import TrainingError
from training.events import Events
from training.fit import fit
from training.networks.mlp import MLP
from training.normalization import normalization_layers
from training.recipe import Recipe

CLASSES, FEATURES = 3, 4


def blobs(count: int, *, seed: int) -> Rows:
    """Rows of three classes that lie 6 standard deviations apart."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    values = torch.randn(count, FEATURES, generator=generator) + 6.0 * nn.functional.one_hot(labels, FEATURES)
    return Rows(values, labels)


def recipe(*, epochs: int = 3, batch_rows: int = 16, seed: int = 0) -> Recipe:
    return Recipe(
        name="blobs",
        network="mlp",
        data=Digits(),
        epochs=epochs,
        batch_rows=batch_rows,
        learning_rate=0.05,
        seed=seed,
    )


def network() -> nn.Module:
    """The same weights every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MLP(FEATURES, CLASSES, widths=(8,))


def weights(fitted: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in fitted.parameters()])


@pytest.fixture
def data() -> Splits:
    return Splits("blobs", ("a", "b", "c"), blobs(100, seed=1), blobs(30, seed=2), blobs(30, seed=3))


def test_a_fit_learns_what_can_be_separated(data: Splits) -> None:
    mlp = network()

    figures = fit(mlp, data, recipe())

    with torch.no_grad():
        accuracy = (mlp(data.test.values).argmax(dim=1) == data.test.labels).float().mean()
    # 4 standard deviations to the border between any two classes: of 30 rows, one is allowance enough
    assert accuracy >= 29 / 30
    assert figures.validation_accuracy >= 29 / 30


def test_a_fit_leaves_the_network_in_inference_mode(data: Splits) -> None:
    mlp = network()

    fit(mlp, data, recipe(epochs=1))

    assert not any(module.training for module in mlp.modules())


def test_the_accuracy_of_a_fit_is_that_of_its_network(data: Splits) -> None:
    mlp = network()

    figures = fit(mlp, data, recipe(epochs=1))

    with torch.no_grad():
        accuracy = (mlp(data.validation.values).argmax(dim=1) == data.validation.labels).float().mean()
    # a mean of means over batches, in float32
    assert figures.validation_accuracy == pytest.approx(float(accuracy), rel=1e-6)
    assert figures.seconds > 0


def test_the_same_recipe_gives_the_same_weights(data: Splits) -> None:
    one, same = network(), network()

    for mlp in (one, same):
        fit(mlp, data, recipe())

    assert torch.equal(weights(one), weights(same))


def test_another_seed_gives_other_weights(data: Splits) -> None:
    one, other = network(), network()

    for mlp, seed in ((one, 1), (other, 2)):
        fit(mlp, data, recipe(seed=seed))

    assert not torch.equal(weights(one), weights(other))


def test_every_full_batch_of_every_epoch_updates_the_statistics(data: Splits) -> None:
    mlp = network()

    fit(mlp, data, recipe(epochs=2, batch_rows=16))

    counts = [layer.num_batches_tracked for layer in normalization_layers(mlp).values()]
    assert counts == [2 * (100 // 16)]


def test_without_a_terminal_every_epoch_is_a_line_of_json(data: Splits, capsys: pytest.CaptureFixture[str]) -> None:
    mlp = network()

    fit(mlp, data, recipe(epochs=3))

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["started", "epoch", "epoch", "epoch"]
    assert [line["epoch"] for line in lines[1:]] == [1, 2, 3]
    assert [(line["step"], line["steps"]) for line in lines] == [(0, 18), (6, 18), (12, 18), (18, 18)]
    assert all(line["rows_per_s"] > 0 for line in lines[1:])
    assert lines[-1]["eta_s"] == 0


def test_every_line_has_the_figures_of_its_own_epoch(data: Splits, capsys: pytest.CaptureFixture[str]) -> None:
    mlp = network()

    figures = fit(mlp, data, recipe(epochs=2))

    last = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert last["train_loss"] == pytest.approx(figures.train_loss, abs=1e-6)  # six digits are told
    assert last["validation_accuracy"] == pytest.approx(figures.validation_accuracy, abs=1e-6)


def test_a_fit_can_be_told_in_words(data: Splits, capsys: pytest.CaptureFixture[str]) -> None:
    mlp = network()

    fit(mlp, data, recipe(epochs=2), events=Events("lines"))

    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["started", "epoch 1/2", "epoch 2/2"]


def test_on_a_terminal_a_bar_moves(data: Splits, capsys: pytest.CaptureFixture[str]) -> None:
    mlp = network()

    fit(mlp, data, recipe(epochs=1), events=Events("bar"))

    printed = capsys.readouterr()
    assert "Epoch 0: 100%" in printed.err
    assert "Validation" in printed.err
    assert "epoch 1/1" not in printed.err
    assert printed.out == ""


def test_a_batch_larger_than_the_data_is_refused(data: Splits) -> None:
    mlp = network()

    with pytest.raises(TrainingError, match=r"batch_rows"):
        fit(mlp, data, recipe(batch_rows=101))
