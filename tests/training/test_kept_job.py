import io
import json
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from models.bundle import Bundle
from models.copied import BundleCopy
from models.store import Publishable, Store
from tests.training.examples import short_recipe
from training import job
from training.errors import DivergenceError
from training.events import Events
from training.interruption import Interrupted, Interruption
from training.job_folder import open_job_folder
from training.kept_fit import Runs


@dataclass(frozen=True, slots=True)
class Stopping(Events):
    """Tells events, and has a signal come at the first one of a name."""

    at: str = ""
    interruption: Interruption = field(default_factory=Interruption)

    def tell(self, event: str, **fields: JsonValue) -> None:
        """Tell it."""
        super(Stopping, self).tell(event, **fields)
        if event == self.at and self.interruption.received is None:
            self.interruption.received = signal.SIGTERM
            if event not in ("epoch", "started"):  # the fit leaves where it can
                self.interruption.leave()


@dataclass(frozen=True, slots=True)
class Late(Events):
    """Tells events, and gets SIGTERM when the version is there."""

    def tell(self, event: str, **fields: JsonValue) -> None:
        """Tell it."""
        super(Late, self).tell(event, **fields)
        if event == "published":
            os.kill(os.getpid(), signal.SIGTERM)


class Dying(Store):
    """A store that publishes, and whose process is gone before it can say so."""

    def publish(self, draft: Publishable) -> Bundle:
        """Publish, and be gone."""
        super().publish(draft)
        raise Interrupted(signal.SIGTERM)


def run(path: Path, store: Store, at: str = "", **settings: Any) -> Bundle:  # noqa: ANN401  of the runs
    """Run the short job in a folder until it is done, or the first event of a name."""
    interruption = Interruption()
    with open_job_folder(path, "json") as folder:
        events = Stopping("json", io.StringIO(), path / "log.jsonl", at, interruption)
        folder.events = events
        bundle = job.run(short_recipe(), store, Runs(folder, interruption, **settings))
    assert bundle is not None
    return bundle


def told(path: Path) -> list[str]:
    return [json.loads(line)["event"] for line in (path / "log.jsonl").read_text().splitlines()]


def files(bundle: Bundle) -> dict[str, str]:
    return {name: record.sha256 for name, record in bundle.manifest.files.items()}


def test_a_job_that_is_stopped_wherever_it_is_publishes_the_same_files_once(tmp_path: Path, short: Bundle) -> None:
    store, path = Store(tmp_path / "store"), tmp_path / "runs"
    for event in ("epoch", "fitted", "statistics", "verified"):
        with pytest.raises(Interrupted):
            run(path, store, event)

    bundle = run(path, store)

    assert files(bundle) == files(short)
    assert store.versions("digits-mlp") == [1]
    assert [event for event in told(path) if event in ("started", "resumed")] == ["started", "resumed"]
    assert told(path).count("fitted") == 4  # told in each run that had it, fitted in one
    assert sorted(entry.name for entry in path.iterdir()) == [
        "job.json",
        "lock",
        "log.jsonl",
        "metrics.csv",
        "recipe.yaml",
    ]


def test_a_job_that_was_killed_when_it_had_published_publishes_only_the_next_one_again(tmp_path: Path) -> None:
    """Whatever was made of the version meanwhile, and however damaged others are."""
    store, path = Store(tmp_path / "store"), tmp_path / "runs"
    with pytest.raises(Interrupted):
        run(path, Dying(store.root))
    store.publish_candidate(BundleCopy(bundle=store.open("digits-mlp", 1), name="digits-mlp"))
    damaged = store.bundle_path("digits-mlp", 3)
    damaged.mkdir()
    (damaged / "manifest.json").write_text("{}")

    versions = [run(path, store).manifest.version for _ in range(2)]

    assert versions == [1, 4]
    assert store.versions("digits-mlp") == [1, 2, 3, 4]
    assert [entry.name.rsplit("-", 1)[0] for entry in (path / "past").iterdir()] == ["version-1"]


def test_a_signal_that_comes_when_all_is_done_is_not_heeded(tmp_path: Path) -> None:
    with Interruption() as interruption, open_job_folder(tmp_path / "runs", "silent") as folder:
        folder.events = Late("silent")

        bundle = job.run(short_recipe("epochs=1"), Store(tmp_path / "store"), Runs(folder, interruption))

    assert bundle is not None
    assert interruption.received is None


def test_what_ends_a_job_is_its_last_event(tmp_path: Path) -> None:
    with open_job_folder(tmp_path / "runs", "silent") as folder, pytest.raises(DivergenceError) as raised:
        job.run(short_recipe("learning_rate=1e30"), Store(tmp_path), Runs(folder, Interruption()))

    last = json.loads((tmp_path / "runs" / "log.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["reason"]) == ("failed", str(raised.value))
