from pathlib import Path

import pytest

from tests.drafts import draft


@pytest.fixture
def bundle_path(tmp_path: Path) -> Path:
    """A whole bundle."""
    path = tmp_path / "store" / "tiny" / "1"
    path.mkdir(parents=True)
    draft().write(path, version=1)
    return path
