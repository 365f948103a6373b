import re
from pathlib import Path

from tests.committed import BUNDLES, STORE, copy_committed

ROOT = Path(__file__).parents[1]


def test_a_copy_holds_the_committed_bundles_whole_and_nothing_else(tmp_path: Path) -> None:
    """What ``make train`` published meanwhile, or anyone pinned, changes no test."""
    store = copy_committed(tmp_path / "store")

    assert {name: store.versions(name) for name in store.models()} == {"digits": [1], "digits-mlp": [1]}
    assert [store.pins(name) for name in store.models()] == [(), ()]
    assert [store.open(name, 1).manifest.name for name in store.models()] == store.models()


def test_the_bundles_named_here_are_those_that_git_keeps() -> None:
    kept = re.findall(r"^!models/store/(\S+/\d+)/$", (ROOT / ".gitignore").read_text(), re.MULTILINE)

    assert sorted(kept) == sorted(str(path.relative_to(STORE)) for path in BUNDLES)


def test_no_other_test_looks_into_the_default_store() -> None:
    """Whoever does is red after ``make train``."""
    looks = re.compile(r'"models" / "store"|models\.__file__|STORE /')

    found = [path.name for path in (ROOT / "tests").rglob("*.py") if looks.search(path.read_text())]

    assert sorted(found) == ["committed.py", "test_committed.py"]
