"""``bntrain report``, ``calibrate``, ``fold`` and ``publish``, on bundles that were published."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle
from models.store import Store
from tests.drafts import draft, grounded, held_out
from training.__main__ import main


@pytest.fixture
def bundle(tiny: Store) -> Bundle:
    return tiny.open("tiny", 1)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    np.savez(tmp_path / "rows.npz", x=held_out(1))
    return tmp_path / "rows.npz"


def test_a_report_tells_what_a_bundle_is_and_how_it_came_to_be(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["report", str(bundle.path)])

    printed = capsys.readouterr().out
    assert code == 0
    assert printed.startswith("tiny, version 1, made 2")
    for expected in (
        r"^network: mlp, 35 parameters, \{'hidden': \[3\]\}$",
        r"^takes x FP32 \[-1, 4\]; gives logits FP32 \[-1, 2\]$",
        r"^labels: no, yes$",
        r"^data: normal, 256 train rows, SHA-256 0{12}$",
        r"^statistics: of 256 rows$",
        r"^ +norm +BatchNorm1d +3 +folded-backward +hidden$",
        r"^calibration: .* held-out rows: threshold 256$",
        r"^ +32 +\d\.\d\d$",
        r"^health: 1 layers, 0 findings$",
    ):
        assert re.search(expected, printed, re.MULTILINE), expected


def test_a_report_says_what_is_missing_or_looks_wrong(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    (layer,) = draft().normalization
    dead = type(layer)(layer.name, layer.eps, 0 * layer.gamma, layer.beta, layer.mean, layer.variance)
    path = store.publish(draft(normalization=(dead,))).path

    main(["report", str(path)])

    printed = capsys.readouterr().out
    assert "not calibrated: " in printed
    assert re.search(r"^health: 1 layers, 1 findings\n  norm: dead-channels: 3 of 3 channels ", printed, re.MULTILINE)


def test_a_report_for_machines_holds_the_manifest_and_what_is_judged(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["report", "--json", str(bundle.path)])

    document = json.loads(capsys.readouterr().out)
    calibration = bundle.calibration()
    assert code == 0
    assert calibration is not None
    assert document["manifest"] == bundle.manifest.model_dump(mode="json")
    assert document["layers"] == [{"name": "norm", "observable_channels": 3, "moving_average": None, "health": []}]
    assert document["calibration"]["rows"] == 256
    assert document["calibration"]["thresholds"][0] == {
        "rows": 32,
        "rate": 0.5,
        "score": calibration.thresholds[0, 0],
    }


def test_a_report_tells_how_much_of_an_input_is_at_its_atoms(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = store.publish(draft(ground=True))
    shares = (grounded(held_out()) == 0).mean(axis=1)

    code = main(["report", str(bundle.path)])

    assert code == 0
    assert (
        f"\ninput x: {shares.mean():.1%} of a row's values are at its atoms, with a deviation of {shares.std():.1%} "
        "among rows (4 channels have one)\n"
    ) in capsys.readouterr().out


def test_a_report_of_a_bundle_without_atoms_has_no_line_of_inputs(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["report", str(bundle.path)])

    assert code == 0
    assert "at its atoms" not in capsys.readouterr().out


def test_a_report_for_machines_holds_the_atoms_of_inputs(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = store.publish(draft(ground=True))
    (atoms,) = bundle.atoms()

    code = main(["report", "--json", str(bundle.path)])

    document = json.loads(capsys.readouterr().out)
    assert code == 0
    assert document["inputs"] == [
        {
            "name": "x",
            "channels": [0, 1, 2, 3],
            "values": [0.0, 0.0, 0.0, 0.0],
            "share": atoms.share,
            "variance": atoms.variance,
        }
    ]
    assert [layer["name"] for layer in document["layers"]] == ["norm"]


def test_a_report_for_machines_of_a_bundle_without_atoms_has_no_inputs(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["report", "--json", str(bundle.path)])

    assert code == 0
    assert json.loads(capsys.readouterr().out)["inputs"] == []


def test_calibrate_publishes_a_candidate_with_the_thresholds_that_it_prints(
    tiny: Store, bundle: Bundle, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["calibrate", str(bundle.path), str(rows)])

    *_, last = lines = capsys.readouterr().out.splitlines()
    made = tiny.open("tiny", 2).calibration()
    assert (code, tiny.pins("tiny")) == (0, (1,))
    assert made is not None
    assert lines[0].endswith("held-out rows: before 256, by these rows 256")
    assert lines[2].split()[::2] == ["32", f"{made.threshold(32, 0.001):.2f}"]
    assert last == f"published {tiny.bundle_path('tiny', 2)}; it answers by default once it is promoted"


def test_fold_publishes_a_candidate_that_is_folded_so(tiny: Store, bundle: Bundle) -> None:
    code = main(["fold", str(bundle.path), "complete"])

    assert (code, tiny.pins("tiny")) == (0, (1,))
    assert tiny.open("tiny", 2).manifest.folding.mode == "complete"


@pytest.mark.parametrize("command", ["calibrate", "fold"])
def test_a_dry_run_reports_and_publishes_nothing(
    command: str, tiny: Store, bundle: Bundle, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([command, str(bundle.path), "complete" if command == "fold" else str(rows), "--dry-run"])

    printed = capsys.readouterr().out
    assert (code, tiny.versions("tiny"), tiny.pins("tiny")) == (0, [1], ())
    assert printed
    assert "published" not in printed


def test_publish_copies_a_version_into_another_store(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    production = Store(tmp_path / "production")

    codes = [
        main(["publish", str(bundle.path), "--store", str(production.root), *further])
        for further in ([], [], ["--name", "renamed"], ["--candidate"])
    ]

    assert codes == [0, 0, 0, 0]
    assert (production.versions("tiny"), production.versions("renamed")) == ([1, 2, 3], [1])
    assert (production.pins("tiny"), production.pins("renamed")) == ((2,), ())
    assert production.open("tiny", 1).manifest.files == bundle.manifest.files
    assert capsys.readouterr().out.splitlines()[0] == f"published {production.bundle_path('tiny', 1)}"


def test_a_candidate_that_is_the_only_version_is_said_to_answer(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["publish", str(bundle.path), "--store", str(tmp_path / "production"), "--candidate"])

    assert capsys.readouterr().out == f"published {tmp_path / 'production' / 'tiny' / '1'}; it answers by default\n"


def test_publish_wants_to_know_where_to(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("BNTRAIN_STORE", raising=False)

    with pytest.raises(SystemExit) as leaving:
        main(["publish", str(bundle.path)])

    assert leaving.value.code == 2
    assert "--store" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["report"], ["calibrate", "rows.npz"], ["fold", "complete"], ["publish", "--store", "production"]],
    ids=lambda arguments: arguments[0],
)
def test_a_damaged_bundle_is_refused_in_one_sentence(
    arguments: list[str], bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bundle.path / "model.onnx").write_bytes(b"")
    command, *rest = arguments

    code = main([command, str(bundle.path), *rest])

    assert code == 1
    assert re.fullmatch(r"bntrain: (.+: )?model\.onnx: expected \d+ bytes, got 0\n", capsys.readouterr().err)
    assert not (tmp_path / "production").exists()


def test_a_publication_beside_a_pinned_version_says_which_answers(
    tiny: Store, bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["publish", str(bundle.path), "--store", str(tiny.root)]

    main(command)
    tiny.pin_version("tiny", 1)
    main(command)

    first, second = capsys.readouterr().out.splitlines()
    assert first == f"published {tiny.root}/tiny/2"
    assert second == f"published {tiny.root}/tiny/3; version 1 answers by default until it is promoted"


def test_a_report_of_a_folder_that_is_not_there_says_what_it_takes(
    tiny: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["report", str(tiny.root / "tiny" / "7")])

    assert code == 1
    expected = "expected the folder of a version, as STORE/MODEL/VERSION, there is none"
    assert capsys.readouterr().err == f"bntrain: {tiny.root}/tiny/7: {expected}\n"
