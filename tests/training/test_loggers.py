import csv
import io
import json
import sys
from pathlib import Path

import pytest

from tests.training.blobs import network, recipe, splits
from training.errors import RecipeError
from training.events import Events
from training.fit import fit
from training.loggers import MetricsFile, make_loggers

SILENT = Events("silent")


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_epoch_has_a_line_with_what_was_measured(tmp_path: Path) -> None:
    figures = fit(network(), splits(), recipe(epochs=3), loggers=make_loggers([], tmp_path, SILENT))

    found = lines(tmp_path / "metrics.csv")
    assert [(line["epoch"], line["step"]) for line in found] == [("1", "3"), ("2", "6"), ("3", "9")]
    assert found[0].keys() == {
        "epoch", "step", "train_loss", "validation_loss", "validation_accuracy", "learning_rate",
    }  # fmt: skip
    assert float(found[-1]["train_loss"]) == pytest.approx(figures.train_loss)
    assert float(found[-1]["validation_loss"]) == pytest.approx(figures.validation_loss)
    assert 0 < float(found[-1]["learning_rate"]) < float(found[0]["learning_rate"])


def test_a_fit_that_goes_on_writes_its_epochs_anew_and_keeps_those_before(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    killed = MetricsFile(path)
    for epoch in range(4):
        killed.log_metrics({"epoch": epoch, "train_loss": 1.0}, step=epoch)

    MetricsFile(path).log_metrics({"epoch": 2, "train_loss": 0.5}, step=2)

    assert [(line["epoch"], line["train_loss"]) for line in lines(path)] == [("1", "1.0"), ("2", "1.0"), ("3", "0.5")]


def test_what_is_measured_of_one_epoch_comes_on_one_line(tmp_path: Path) -> None:
    log = MetricsFile(tmp_path / "metrics.csv")

    log.log_metrics({"epoch": 0, "loss": 1.0}, step=3)
    log.log_metrics({"epoch": 0, "accuracy": 0.5}, step=3)

    assert lines(log.path) == [{"epoch": "1", "step": "4", "loss": "1.0", "accuracy": "0.5"}]


def test_tensorboard_writes_events_of_the_same_figures(tmp_path: Path) -> None:
    fit(network(), splits(), recipe(), loggers=make_loggers(["tensorboard"], tmp_path, SILENT))

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: PLC0415  slow to import

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    losses = [event.value for event in events.Scalars("validation_loss")]
    assert losses == pytest.approx([float(line["validation_loss"]) for line in lines(tmp_path / "metrics.csv")])


def test_a_logger_that_fails_is_told_of_once_and_ends_no_fit(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("in the way")
    told = io.StringIO()

    fit(network(), splits(), recipe(), loggers=make_loggers(["tensorboard"], tmp_path, Events("json", told)))

    (line,) = map(json.loads, told.getvalue().splitlines())
    assert (line["event"], line["logger"]) == ("logger-failed", "tensorboard")
    assert "File exists" in line["reason"]
    assert len(lines(tmp_path / "metrics.csv")) == 2


def test_an_unknown_logger_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as refusal:
        make_loggers(["wandb"], tmp_path, SILENT)

    assert str(refusal.value) == "logger: expected one of tensorboard, mlflow, got 'wandb'"


def test_mlflow_is_refused_where_nothing_says_where_its_runs_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlflow.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    with pytest.raises(RecipeError, match=r"^logger mlflow: expected MLFLOW_TRACKING_URI to be the address"):
        make_loggers(["mlflow"], tmp_path / "job", SILENT)


def test_mlflow_is_refused_where_it_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])

    with pytest.raises(RecipeError, match=r"expected the package mlflow, which is not installed: pip install"):
        make_loggers(["mlflow"], tmp_path, SILENT)
