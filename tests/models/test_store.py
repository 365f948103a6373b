import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from models.bundle import MODEL_FILE, Sample
from models.draft import BundleDraft
from models.durable import write_file
from models.errors import BundleError, ModelNotFound, StoreError, VersionNotFound
from models.pins import DEFAULT_FILE
from models.store import Store
from tests.drafts import draft

BAD_NAMES = [
    "",
    ".",
    "..",
    "../tiny",
    "tiny/../../tiny",
    "/tiny",
    "tiny/1",
    "tiny\\1",
    ".tiny",
    "-tiny",
    "_tiny",
    "tiny\n",
    "ti ny",
    "ti\0ny",
    "tïny",
    "t" * 129,
]


@pytest.fixture
def open_umask() -> Iterator[None]:
    """The usual umask, whatever the one of this process."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def copy_version(store: Store, version: int, *, to: int, model: str = "tiny") -> None:
    shutil.copytree(store.bundle_path("tiny", version), store.bundle_path(model, to))


def test_a_store_that_does_not_exist_holds_nothing(store: Store) -> None:
    model = "tiny"

    found = (store.models(), store.versions(model), store.pinned_version(model))

    assert found == ([], [], None)


def test_publishing_counts_versions_from_one(store: Store) -> None:
    drafts = [draft(bias=bias) for bias in range(3)]

    published = [store.publish(each) for each in drafts]

    assert [bundle.manifest.version for bundle in published] == [1, 2, 3]
    assert store.versions("tiny") == [1, 2, 3]


def test_what_was_published_is_opened(store: Store) -> None:
    published = store.publish(draft(seed=5))

    opened = store.open("tiny", 1)

    assert opened == published
    np.testing.assert_array_equal(opened.normalization()[0].gamma, draft(seed=5).normalization[0].gamma)


def test_models_count_their_own_versions_and_are_sorted_by_name(store: Store) -> None:
    for name in ("b", "a-2", "B", "a.1", "b", "0"):
        store.publish(draft(name))

    models = store.models()

    assert models == ["0", "B", "a-2", "a.1", "b"]
    assert [store.versions(model) for model in models] == [[1], [1], [1], [1], [1, 2]]


@pytest.mark.parametrize("name", ["a", "0", "A.b_c-9", "t" * 128])
def test_a_good_name_is_published(store: Store, name: str) -> None:
    bundle = store.publish(draft(name))

    models = store.models()

    assert models == [name]
    assert bundle.path == store.bundle_path(name, 1)


def test_version_ten_comes_after_nine(tiny: Store) -> None:
    for version in (10, 9, 2):
        copy_version(tiny, 1, to=version)

    versions = tiny.versions("tiny")

    assert versions == [1, 2, 9, 10]


def test_the_next_version_is_one_above_the_highest(tiny: Store) -> None:
    copy_version(tiny, 1, to=10)

    bundle = tiny.publish(draft())

    assert bundle.manifest.version == 11


@pytest.mark.parametrize("name", ["0", "-1", "+1", "01", "1.0", "1e3", "latest", "٣", "2 ", ".publishing-x", ".3"])
def test_a_folder_whose_name_is_no_version_is_ignored(tiny: Store, name: str) -> None:
    shutil.copytree(tiny.bundle_path("tiny", 1), tiny.root / "tiny" / name)

    bundle = tiny.publish(draft())

    assert bundle.manifest.version == 2
    assert tiny.versions("tiny") == [1, 2]


def test_a_file_whose_name_is_a_version_is_ignored(tiny: Store) -> None:
    (tiny.root / "tiny" / "7").write_text("no folder")

    versions = tiny.versions("tiny")

    assert versions == [1]


@pytest.mark.parametrize("name", [".git", "lost+found", "-tiny", "a b"])
def test_a_folder_whose_name_no_model_has_is_ignored(tiny: Store, name: str) -> None:
    (tiny.root / name).mkdir()
    (tiny.root / "README").write_text("no folder")

    models = tiny.models()

    assert models == ["tiny"]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize(
    "use",
    [
        lambda store, name: store.versions(name),
        lambda store, name: store.bundle_path(name, 1),
        lambda store, name: store.pinned_version(name),
        lambda store, name: store.pin_version(name, 1),
        lambda store, name: store.open(name, 1),
        lambda store, name: store.publish(draft(name)),
    ],
    ids=["versions", "bundle_path", "pinned_version", "pin_version", "open", "publish"],
)
def test_a_bad_name_is_refused(tiny: Store, name: str, use: Callable[[Store, str], object]) -> None:
    before = everything_under(tiny.root.parent)

    with pytest.raises(StoreError) as caught:
        use(tiny, name)

    assert str(caught.value) == (
        f"model name: expected a letter or digit, then at most 127 letters, digits, '.', '_' or '-', got {name!r}"
    )
    assert everything_under(tiny.root.parent) == before


def test_a_model_that_is_not_there_is_not_found(tiny: Store) -> None:
    name = "huge"

    with pytest.raises(ModelNotFound) as caught:
        tiny.open(name, 1)

    assert str(caught.value).endswith("expected one of the models ['tiny'], got 'huge'")


@pytest.mark.parametrize("version", [-1, 0, 2, 10**30])
def test_a_version_that_is_not_there_is_not_found(tiny: Store, version: int) -> None:
    name = "tiny"

    with pytest.raises(VersionNotFound) as caught:
        tiny.open(name, version)

    assert str(caught.value) == f"tiny: expected one of the versions [1], got {version}"


def test_a_bundle_in_the_place_of_another_version_is_refused(tiny: Store) -> None:
    copy_version(tiny, 1, to=2)

    with pytest.raises(BundleError) as caught:
        tiny.open("tiny", 2)

    assert str(caught.value) == "manifest.json: name, version: expected tiny 2, got tiny 1"


def test_a_bundle_in_the_place_of_another_model_is_refused(tiny: Store) -> None:
    copy_version(tiny, 1, to=1, model="other")

    with pytest.raises(BundleError) as caught:
        tiny.open("other", 1)

    assert str(caught.value) == "manifest.json: name, version: expected other 1, got tiny 1"


def test_a_damaged_version_is_refused_and_harms_no_other(tiny: Store) -> None:
    tiny.publish(draft())
    (tiny.bundle_path("tiny", 2) / MODEL_FILE).unlink()

    with pytest.raises(BundleError) as caught:
        tiny.open("tiny", 2)

    assert str(caught.value).startswith(f"{MODEL_FILE}: ")
    assert tiny.open("tiny", 1).manifest.version == 1


def test_no_version_is_pinned_at_first(tiny: Store) -> None:
    name = "tiny"

    pinned = tiny.pinned_version(name)

    assert pinned is None


def test_a_pin_is_read_as_it_was_set_and_can_be_moved_back(tiny: Store) -> None:
    tiny.publish(draft())
    pins = []

    for version in (1, 2, 1):
        tiny.pin_version("tiny", version)
        pins.append(tiny.pinned_version("tiny"))

    assert pins == [1, 2, 1]


def test_pinning_leaves_nothing_but_the_pin(tiny: Store) -> None:
    folder = tiny.root / "tiny"

    tiny.pin_version("tiny", 1)

    assert sorted(entry.name for entry in folder.iterdir()) == ["1", DEFAULT_FILE]
    assert (folder / DEFAULT_FILE).read_text() == "1\n"


def test_a_pin_survives_what_is_published_later(tiny: Store) -> None:
    tiny.pin_version("tiny", 1)

    tiny.publish(draft())

    assert tiny.pinned_version("tiny") == 1


@pytest.mark.parametrize("text", ["1", "1\n", "  1\r\n\n", "1\n2\n", "\n1\n\n 7\n"])
def test_a_pin_set_by_hand_is_read(tiny: Store, text: str) -> None:
    (tiny.root / "tiny" / DEFAULT_FILE).write_text(text)

    pinned = tiny.pinned_version("tiny")

    assert pinned == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "0",
        "-1",
        "01",
        "1.0",
        "1 2",
        "latest",
        "../1",
        "٣",
        "²",
        pytest.param("1" * 5000, id="endless"),
    ],
)
def test_a_pin_that_is_no_version_is_refused(tiny: Store, text: str) -> None:
    (tiny.root / "tiny" / DEFAULT_FILE).write_text(text)

    with pytest.raises(StoreError) as caught:
        tiny.pinned_version("tiny")

    assert str(caught.value) == f"tiny/{DEFAULT_FILE}: expected the number of a version, got {text.strip()[:40]!r}"


def test_a_pin_that_is_no_text_is_refused(tiny: Store) -> None:
    (tiny.root / "tiny" / DEFAULT_FILE).write_bytes(b"\xff\xfe")

    with pytest.raises(StoreError) as caught:
        tiny.pinned_version("tiny")

    assert str(caught.value).startswith(f"tiny/{DEFAULT_FILE}: expected a text file that can be read: ")


def test_a_pin_that_is_a_folder_is_refused(tiny: Store) -> None:
    (tiny.root / "tiny" / DEFAULT_FILE).mkdir()

    with pytest.raises(StoreError) as caught:
        tiny.pinned_version("tiny")

    assert str(caught.value).startswith(f"tiny/{DEFAULT_FILE}: expected a text file that can be read: ")


def test_a_pin_that_can_not_be_replaced_is_a_store_error(tiny: Store) -> None:
    (tiny.root / "tiny" / DEFAULT_FILE).mkdir()

    with pytest.raises(StoreError) as caught:
        tiny.pin_version("tiny", 1)

    assert DEFAULT_FILE in str(caught.value)


@pytest.mark.parametrize("version", [-1, 0, 2])
def test_pinning_a_version_that_is_not_there_is_refused(tiny: Store, version: int) -> None:
    tiny.pin_version("tiny", 1)

    with pytest.raises(VersionNotFound) as caught:
        tiny.pin_version("tiny", version)

    assert str(caught.value) == f"tiny: expected one of the versions [1], got {version}"
    assert tiny.pinned_version("tiny") == 1


@pytest.mark.parametrize("model", ["huge", "tiny"])
def test_pinning_in_an_empty_store_is_refused(store: Store, model: str) -> None:
    version = 1

    with pytest.raises((ModelNotFound, VersionNotFound)) as caught:
        store.pin_version(model, version)

    assert "expected one of the " in str(caught.value)
    assert not store.root.exists()


@pytest.mark.usefixtures("open_umask")
def test_a_version_can_be_read_by_everyone(store: Store) -> None:
    bundle = store.publish(draft())

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (bundle.path, *bundle.path.iterdir())}

    assert modes.pop("1") == 0o755
    assert set(modes.values()) == {0o644}


@pytest.mark.usefixtures("open_umask")
def test_a_pin_can_be_read_by_everyone(tiny: Store) -> None:
    pin = tiny.root / "tiny" / DEFAULT_FILE

    tiny.pin_version("tiny", 1)

    assert stat.S_IMODE(pin.stat().st_mode) == 0o644


def test_what_a_killed_publisher_left_goes_with_the_next_publication(store: Store) -> None:
    left = store.root / "tiny" / ".publishing-0123"
    left.mkdir(parents=True)
    (left / MODEL_FILE).write_bytes(b"half of it")

    store.publish(draft())

    assert [path.name for path in left.parent.iterdir()] == ["1"]


def test_what_another_publisher_is_writing_stays(store: Store) -> None:
    class Overtaken:
        """Another publisher is done while it writes for the first time."""

        name = "tiny"

        def write(self, directory: Path, *, version: int) -> None:
            if version == 1:
                store.publish(draft())
            draft().write(directory, version=version)

    bundle = store.publish(Overtaken())

    assert (bundle.manifest.version, store.versions("tiny")) == (2, [1, 2])
    assert sorted(path.name for path in bundle.path.parent.iterdir()) == ["1", "2"]


@pytest.mark.parametrize("in_the_way", ["store", "store/tiny"])
def test_a_file_in_place_of_a_folder_makes_publishing_a_store_error(store: Store, in_the_way: str) -> None:
    path = store.root.parent / in_the_way
    path.parent.mkdir(exist_ok=True)
    path.write_text("no folder")

    with pytest.raises(StoreError) as caught:
        store.publish(draft())

    assert str(caught.value).startswith(f"{store.root / 'tiny'}: expected a folder that can be written to: ")
    assert path.read_text() == "no folder"


def test_a_file_in_place_of_the_store_holds_nothing(store: Store) -> None:
    store.root.write_text("no folder")

    found = (store.models(), store.versions("tiny"))

    assert found == ([], [])


@pytest.mark.parametrize("read", [Store.models, lambda store: store.versions("tiny"), lambda store: store.open("t", 1)])
def test_a_store_that_can_not_be_read_is_a_store_error(store: Store, read: Callable[[Store], object]) -> None:
    # a link to itself can't be read even by a user who may read everything
    store.root.symlink_to(store.root)

    with pytest.raises(StoreError) as caught:
        read(store)

    assert str(store.root) in str(caught.value)


class FullDisk(BundleDraft):
    """A draft that the disk has no room for but its first file."""

    def write(self, directory: Path, *, version: int) -> None:
        """Write one file, and fail."""
        write_file(directory / MODEL_FILE, f"{version}".encode())
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Overtaken(BundleDraft):
    """A draft that another publisher overtakes twice while it is being written."""

    def write(self, directory: Path, *, version: int) -> None:
        """Let the other publisher go first."""
        if version <= 2:
            Store(directory.parent.parent).publish(draft(self.name, bias=version))
        BundleDraft.write(self, directory, version=version)


def as_kind(kind: type[BundleDraft]) -> BundleDraft:
    tiny = draft()
    return kind(**{field: getattr(tiny, field) for field in BundleDraft.__slots__})


def test_a_draft_that_does_not_fit_leaves_nothing_behind(tiny: Store) -> None:
    before = everything_under(tiny.root)

    with pytest.raises(StoreError) as caught:
        tiny.publish(as_kind(FullDisk))

    assert str(caught.value).endswith("tiny: expected a folder that can be written to: No space left on device")
    assert everything_under(tiny.root) == before


def test_a_publisher_that_is_overtaken_takes_the_next_version(store: Store) -> None:
    overtaken = as_kind(Overtaken)

    bundle = store.publish(overtaken)

    assert bundle.manifest.version == 3
    assert [store.open("tiny", version).manifest.version for version in (1, 2, 3)] == [1, 2, 3]
    assert sorted(entry.name for entry in (store.root / "tiny").iterdir()) == ["1", "2", "3"]


def test_a_draft_that_could_not_be_read_back_is_not_published(store: Store) -> None:
    without_arrays = draft(normalization=())

    with pytest.raises(BundleError) as caught:
        store.publish(without_arrays)

    assert "norm/gamma" in str(caught.value)
    assert store.versions("tiny") == []


def everything_under(path: Path) -> list[str]:
    """Every path below a folder, hidden ones too."""
    return sorted(str(entry) for entry in path.rglob("*"))


def test_the_first_version_of_a_model_is_its_default_even_as_a_candidate(store: Store) -> None:
    bundle = store.publish_candidate(draft())

    assert (bundle.manifest.version, store.pins("tiny")) == (1, ())


def test_a_candidate_never_becomes_the_default_by_being_the_highest(store: Store) -> None:
    store.publish(draft())
    store.publish(draft(bias=1))

    bundle = store.publish_candidate(draft(bias=2))

    assert (bundle.manifest.version, store.pins("tiny")) == (3, (2,))


def test_a_candidate_leaves_pins_as_they_are(store: Store) -> None:
    for bias in range(3):
        store.publish(draft(bias=bias))
    store.pin_version("tiny", 3)
    store.pin_version("tiny", 1)

    store.publish_candidate(draft(bias=3))

    assert store.pins("tiny") == (1, 3)


def test_the_default_is_pinned_before_a_candidate_is_there(store: Store) -> None:
    store.publish(draft())
    broken = draft(sample=Sample({}, {}))

    with pytest.raises(BundleError):
        store.publish_candidate(broken)

    assert (store.versions("tiny"), store.pins("tiny")) == ([1], (1,))


def test_a_candidate_is_not_published_where_the_pins_are_damaged(store: Store) -> None:
    store.publish(draft())
    (store.root / "tiny" / DEFAULT_FILE).write_text("latest")

    with pytest.raises(StoreError, match="expected the number of a version"):
        store.publish_candidate(draft())

    assert store.versions("tiny") == [1]
