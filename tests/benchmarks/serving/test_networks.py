from pathlib import Path

import pytest

from benchmarks.serving.networks import committed, demo


def test_what_is_measured_are_the_committed_bundles_and_none_published_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    store = committed()

    assert {name: store.versions(name) for name in store.models()} == {"digits": [1], "digits-mlp": [1]}
    assert demo().store == store.root
    assert tmp_path in store.root.parents


def test_a_link_that_leads_nowhere_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a clone that was moved."""
    monkeypatch.chdir(tmp_path)
    link = committed().bundle_path("digits", 1)
    link.unlink()
    link.symlink_to(tmp_path / "elsewhere")

    network = demo()

    assert network.version == 1
