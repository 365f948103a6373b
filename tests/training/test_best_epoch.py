from pathlib import Path

import lightning
import pytest
import torch

from tests.training.blobs import STEPS, network, recipe, splits, state
from tests.training.lightning_runs import CheckpointAt, Trajectory, run, same
from training.averaging import MovingAverage
from training.best_epoch import BestEpoch
from training.data.batches import read_all
from training.fit import fit

pytestmark = pytest.mark.filterwarnings("ignore:.*(does not have many workers|LeafSpec|not resumable).*")

WORSENS = recipe(epochs=8, optimizer="sgd", momentum=0.0, learning_rate=0.2, schedule="constant")


class Ascending(lightning.Callback):
    """From an epoch on, has every step go up instead of down."""

    def __init__(self, from_epoch: int) -> None:
        self.from_epoch = from_epoch

    def on_before_optimizer_step(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: object
    ) -> None:
        """Turn the gradient round."""
        if trainer.current_epoch >= self.from_epoch:
            for parameter in pl_module.parameters():
                assert parameter.grad is not None
                parameter.grad.neg_()


def test_a_fit_ends_when_there_was_no_better_epoch_for_a_while() -> None:
    mlp = network()
    trajectory, best = Trajectory(mlp), BestEpoch(mlp, 2)

    run(mlp, WORSENS, [best, trajectory, Ascending(3)])

    assert len(trajectory.steps) == 5 * STEPS  # three that get better, and two that do not
    assert best.epochs == 3


def test_the_best_epoch_is_what_is_left_as_it_was_validated() -> None:
    mlp = network()
    trajectory, best = Trajectory(mlp), BestEpoch(mlp, 2)

    run(mlp, WORSENS, [best, trajectory, MovingAverage(mlp, 0.5), Ascending(3)])

    kept = trajectory.validated[best.epochs - 1]
    assert all(torch.equal(kept[name], tensor) for name, tensor in state(mlp).items())
    assert best.epochs < len(trajectory.validated)


def test_its_figures_are_those_of_its_epoch() -> None:
    mlp = network()
    best = BestEpoch(mlp, 2)

    trainer = run(mlp, WORSENS, [best, Ascending(3)])

    assert best.metrics["validation_loss"] < float(trainer.callback_metrics["validation_loss"])
    assert best.metrics.keys() >= {"train_loss", "validation_loss", "validation_accuracy"}


def test_an_epoch_whose_loss_is_no_number_is_not_the_best() -> None:
    mlp = network()
    best = BestEpoch(mlp, 1)

    class Broken(lightning.Callback):
        def on_validation_start(self, trainer: lightning.Trainer, *_: object) -> None:
            if trainer.current_epoch == 1:
                mlp.classifier.bias.data.fill_(torch.nan)

    run(mlp, WORSENS, [best, Broken()])

    assert best.epochs == 1
    assert all(tensor.isfinite().all() for tensor in state(mlp).values())


@pytest.mark.parametrize("step", [7, 10, 13])
def test_the_best_epoch_goes_on_from_a_checkpoint(tmp_path: Path, step: int) -> None:
    checkpoint = tmp_path / "kept.ckpt"
    whole, resumed = network(), network()
    kept, again = BestEpoch(whole, 2), BestEpoch(resumed, 2)
    run(whole, WORSENS, [kept, Ascending(3), CheckpointAt(step, checkpoint)])

    run(resumed, WORSENS, [again, Ascending(3)], resume=(checkpoint, step))

    assert same(resumed, whole)
    assert (again.epochs, again.metrics) == (kept.epochs, kept.metrics)


def test_a_fit_tells_which_epoch_it_left() -> None:
    mlp = network()

    figures = fit(mlp, splits(), recipe(epochs=6, learning_rate=50.0, schedule="constant", patience_epochs=1))

    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(mlp(read_all(splits().validation)), splits().validation.labels)
    assert figures.epochs < 6
    assert figures.validation_loss == pytest.approx(float(loss), rel=1e-5)
