from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.bundle import CALIBRATION_FILE, MODEL_FILE, Bundle
from models.copied import BundleCopy
from models.errors import BundleError, StoreError
from models.manifest import MANIFEST_FILE
from models.store import Store
from tests.drafts import draft, observing, uncalibrated


@pytest.fixture
def bundle(tiny: Store) -> Bundle:
    return tiny.open("tiny", 1)


def contents(bundle: Bundle) -> dict[str, bytes]:
    """Every file but the manifest."""
    return {path.name: path.read_bytes() for path in bundle.path.iterdir() if path.name != MANIFEST_FILE}


def test_a_copy_is_the_next_version_of_its_name_elsewhere_with_the_same_files(bundle: Bundle, tmp_path: Path) -> None:
    production = Store(tmp_path / "production")
    production.publish(draft("other"))

    copy = production.publish(BundleCopy(bundle=bundle, name="other"))

    assert (copy.manifest.name, copy.manifest.version) == ("other", 2)
    assert contents(copy) == contents(bundle)
    assert copy.manifest.model_copy(update={"name": "tiny", "version": 1}) == bundle.manifest


def test_a_new_calibration_takes_the_place_of_the_old_and_all_else_stays(tiny: Store, bundle: Bundle) -> None:
    old = bundle.calibration()
    assert old is not None
    higher = replace(old, thresholds=old.thresholds + 1)

    changed = replace(observing(), calibration=higher)

    copy = tiny.publish_candidate(BundleCopy(bundle=bundle, name="tiny", observing=changed))

    found = tiny.open("tiny", 2).calibration()
    assert found is not None
    assert np.array_equal(found.thresholds, higher.thresholds)
    assert contents(copy).keys() == contents(bundle).keys()
    assert {name for name, data in contents(copy).items() if data != contents(bundle)[name]} == {CALIBRATION_FILE}
    assert (copy.manifest.created >= bundle.manifest.created, tiny.pins("tiny")) == (True, (1,))


def test_a_bundle_without_a_calibration_gets_one(store: Store) -> None:
    bare = store.publish(draft("bare", observing=uncalibrated()))

    copy = store.publish(BundleCopy(bundle=bare, name="bare", observing=observing()))

    assert contents(copy).keys() - contents(bare).keys() == {CALIBRATION_FILE}


def test_what_changed_since_it_was_opened_is_not_published(bundle: Bundle, tmp_path: Path) -> None:
    production = Store(tmp_path / "production")
    content = bytearray((bundle.path / MODEL_FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle.path / MODEL_FILE).write_bytes(content)

    with pytest.raises(BundleError, match=r"model\.onnx: sha256: expected"):
        production.publish(BundleCopy(bundle=bundle, name="tiny"))

    assert production.versions("tiny") == []


def test_what_is_gone_since_it_was_opened_is_not_published(bundle: Bundle, tmp_path: Path) -> None:
    production = Store(tmp_path / "production")
    (bundle.path / MODEL_FILE).unlink()

    with pytest.raises(StoreError, match="No such file"):
        production.publish(BundleCopy(bundle=bundle, name="tiny"))

    assert production.versions("tiny") == []
