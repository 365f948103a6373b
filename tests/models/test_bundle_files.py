import os
from pathlib import Path

import pytest

from models.bundle import MODEL_FILE, NORMALIZATION_FILE, PARAMETERS_FILE, SAMPLE_FILE, UNFOLDED_FILE, Bundle, sha256
from models.errors import BundleError
from models.manifest import MANIFEST_FILE
from tests.damage import change_manifest, list_file

FILES = (MODEL_FILE, UNFOLDED_FILE, NORMALIZATION_FILE, SAMPLE_FILE, PARAMETERS_FILE)


def test_a_bundle_published_without_parameters_opens_and_says_so(bundle_path: Path) -> None:
    change_manifest(bundle_path, lambda manifest: manifest["files"].pop(PARAMETERS_FILE))
    bundle = Bundle.open(bundle_path)

    with pytest.raises(BundleError) as caught:
        bundle.parameters()

    assert str(caught.value) == f"{PARAMETERS_FILE}: this bundle was published without its network's parameters"


def test_a_folder_without_a_bundle_is_refused(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"

    with pytest.raises(BundleError) as caught:
        Bundle.open(nowhere)

    assert str(caught.value) == f"{MANIFEST_FILE}: expected a file that can be read: No such file or directory"


@pytest.mark.parametrize("name", [MANIFEST_FILE, *FILES])
def test_a_missing_file_is_named(bundle_path: Path, name: str) -> None:
    (bundle_path / name).unlink()

    with pytest.raises(BundleError) as caught:
        Bundle.open(bundle_path)

    assert str(caught.value) == f"{name}: expected a file that can be read: No such file or directory"


@pytest.mark.parametrize("name", [MANIFEST_FILE, *FILES])
def test_a_folder_in_place_of_a_file_is_named(bundle_path: Path, name: str) -> None:
    (bundle_path / name).unlink()
    (bundle_path / name).mkdir()

    with pytest.raises(BundleError) as caught:
        Bundle.open(bundle_path)

    assert str(caught.value) == f"{name}: expected a file that can be read, got something else"


@pytest.mark.parametrize("name", [MANIFEST_FILE, *FILES])
def test_a_pipe_in_place_of_a_file_is_named(bundle_path: Path, name: str) -> None:
    (bundle_path / name).unlink()
    os.mkfifo(bundle_path / name)

    with pytest.raises(BundleError) as caught:
        Bundle.open(bundle_path)

    assert str(caught.value).startswith(f"{name}: expected a ")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("difference", [-1, 1])
def test_a_file_of_another_size_is_named(bundle_path: Path, name: str, difference: int) -> None:
    data = (bundle_path / name).read_bytes()
    (bundle_path / name).write_bytes((data + b"\0")[: len(data) + difference])

    with pytest.raises(BundleError) as caught:
        Bundle.open(bundle_path)

    assert str(caught.value) == f"{name}: expected {len(data)} bytes, got {len(data) + difference}"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("position", [0, 0.5, 1])
def test_a_flipped_bit_is_noticed(bundle_path: Path, name: str, position: float) -> None:
    before = (bundle_path / name).read_bytes()
    after = bytearray(before)
    after[int(position * (len(before) - 1))] ^= 0x10
    (bundle_path / name).write_bytes(after)

    with pytest.raises(BundleError) as caught:
        Bundle.open(bundle_path)

    assert str(caught.value) == f"{name}: sha256: expected {sha256(before)}, got {sha256(bytes(after))}"


@pytest.mark.parametrize("kept", [0, 1, 100, -3])
def test_a_manifest_that_was_cut_off_is_named(bundle_path: Path, kept: int) -> None:
    text = (bundle_path / MANIFEST_FILE).read_bytes()
    (bundle_path / MANIFEST_FILE).write_bytes(text[:kept])

    with pytest.raises(BundleError) as caught:
        Bundle.open(bundle_path)

    assert str(caught.value).startswith(f"{MANIFEST_FILE}: expected JSON: ")


@pytest.mark.parametrize("name", [MODEL_FILE, NORMALIZATION_FILE, SAMPLE_FILE])
def test_a_manifest_that_does_not_list_a_file_it_needs_is_refused(bundle_path: Path, name: str) -> None:
    change_manifest(bundle_path, lambda manifest: manifest["files"].pop(name))

    with pytest.raises(BundleError) as caught:
        Bundle.open(bundle_path)

    assert str(caught.value) == f"{MANIFEST_FILE}: files: expected an entry for {name}, got none"


@pytest.mark.parametrize(
    "listed",
    [
        "../secret",
        "../../../secret",
        "folder/../../../../secret",
        "../1/../secret",
        "{outside}/secret",
        "link",
        "linked-folder/secret",
        "link-to-link",
    ],
)
def test_a_path_that_leads_out_of_the_bundle_is_refused(bundle_path: Path, tmp_path: Path, listed: str) -> None:
    secret = b"not of the bundle"
    for folder in (tmp_path, bundle_path.parent):
        (folder / "secret").write_bytes(secret)
    (bundle_path / "folder").mkdir()
    (bundle_path / "link").symlink_to(tmp_path / "secret")
    (bundle_path / "linked-folder").symlink_to(tmp_path)
    (bundle_path / "link-to-link").symlink_to("link")
    name = listed.format(outside=tmp_path)
    list_file(bundle_path, name, secret)

    with pytest.raises(BundleError) as caught:
        Bundle.open(bundle_path)

    assert str(caught.value) == f"{MANIFEST_FILE}: files: expected paths inside the bundle, got {name!r}"


@pytest.mark.parametrize("name", [pytest.param(MANIFEST_FILE), *FILES])
def test_a_link_in_place_of_a_file_that_leads_out_of_the_bundle_is_refused(
    bundle_path: Path, tmp_path: Path, name: str
) -> None:
    (bundle_path / name).rename(tmp_path / name)
    (bundle_path / name).symlink_to(tmp_path / name)

    with pytest.raises(BundleError) as caught:
        Bundle.open(bundle_path)

    assert str(caught.value).startswith(f"{MANIFEST_FILE}: ")


@pytest.mark.parametrize("name", FILES)
def test_a_link_to_itself_is_named(bundle_path: Path, name: str) -> None:
    (bundle_path / name).unlink()
    (bundle_path / name).symlink_to(name)

    with pytest.raises(BundleError) as caught:
        Bundle.open(bundle_path)

    assert name in str(caught.value)


@pytest.mark.parametrize(
    "listed",
    [
        "",
        ".",
        "folder",
        "n" * 300,
        pytest.param("zero\0byte"),
    ],
)
def test_a_listed_name_that_no_file_has_is_refused(bundle_path: Path, listed: str) -> None:
    (bundle_path / "folder").mkdir()
    list_file(bundle_path, listed, b"")

    with pytest.raises(BundleError) as caught:
        Bundle.open(bundle_path)

    assert "expected" in str(caught.value)
