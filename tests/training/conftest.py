from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from models.bundle import Bundle
from models.store import Store
from tests.exporter import quick_exporter
from tests.training.examples import run_job, short_recipe
from tests.untraced import untraced
from training.recipe import load_recipe

__all__ = ["quick_exporter"]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small gain little from a second thread, and lose 5-fold by waiting for it on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def runs(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where `bntrain fit` keeps its jobs: elsewhere than in the folder that the tests are run in."""
    runs = tmp_path_factory.mktemp("runs")
    monkeypatch.setenv("BNTRAIN_RUNS", str(runs))
    return runs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder; modules that are imported from it are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    loaded = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - loaded:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture(scope="session")
def short_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with one version of the short recipe; tests add none."""
    store = Store(tmp_path_factory.mktemp("short"))
    run_job(short_recipe(), store)
    return store


@pytest.fixture(scope="session")
def short(short_store: Store) -> Bundle:
    """What the short recipe gives."""
    return short_store.open("digits-mlp", 1)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """What the committed recipe ``digits`` gives; fitted once in 20 s, and untraced: other tests run every line."""
    return untraced(run_job)(load_recipe("digits"), Store(tmp_path_factory.mktemp("digits")))
