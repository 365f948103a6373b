import contextlib
import re
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from training.__main__ import main
from training.studies import STUDIES
from training.studies.results import read_results


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a study of two steps writes, on data of MNIST's form: 120 images to fit to, 20 to test on, of noise."""
    generator, home = np.random.default_rng(1), tmp_path_factory.mktemp("someone")
    for part, rows in (("train", 120), ("t10k", 20)):
        images = generator.integers(0, 256, (rows, 28, 28), np.uint8)
        labels = np.arange(rows, dtype=np.uint8) % 10
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            (home / f"{part}-{kind}-ubyte").write_bytes(header + array.tobytes())
    arguments = ["--data", str(home), "--steps", "2", "--seeds", "1", "--output", "docs/studies"]
    with contextlib.chdir(home):
        assert main(["study", "covariate-shift", *arguments]) == 0
    return home / "docs" / "studies"


def test_a_folder_of_mnist_s_form_is_measured_and_its_place_is_told_to_nobody(measured: Path) -> None:
    text = (measured / "covariate-shift.md").read_text()

    run = read_results(measured / "covariate-shift.jsonl").run
    assert (run.data, run.train_rows, run.test_rows) == ("other images", 120, 20)
    assert "    bntrain study covariate-shift --data FOLDER --steps 2 --seeds 1 --output docs/studies\n" in text
    assert "someone" not in text


def test_a_page_of_another_run_than_the_committed_one_says_whose_verdict_it_shows(measured: Path) -> None:
    assert "By the run on MNIST with 20,000 steps" in (measured / "covariate-shift.md").read_text()


def test_only_the_page_is_made_of_results_that_are_there(
    measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(measured / "covariate-shift.jsonl", tmp_path)

    code = main(["study", "covariate-shift", "--page-only", "--output", str(tmp_path)])

    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert code == 0
    assert written == {path.name: path.read_bytes() for path in measured.iterdir()}
    assert capsys.readouterr().out.splitlines()[-1] == f"wrote {tmp_path / 'covariate-shift.md'}"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["covariate-shif"], r"study: expected one of [^\n]+, got 'covariate-shif'; did you mean covariate-shift\?"),
        (["astrology"], rf"study: expected one of {', '.join(STUDIES)}, got 'astrology'"),
        (["saturation", "--data", "nowhere"], r"nowhere: expected a folder that exists"),
        (["saturation", "--steps", "0"], r"--steps: expected at least 1, got 0"),
        (["saturation", "--seeds", "-1"], r"--seeds: expected at least 1, got -1"),
        (["saturation", "--page-only", "--output", "none"], r"none/saturation\.jsonl: expected the results [^\n]+"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "refused",
)
def test_what_can_t_be_studied_is_one_sentence_and_writes_nothing(
    folder: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["study", *arguments])

    assert code == 1
    assert re.fullmatch(rf"bntrain: {sentence}\n", capsys.readouterr().err)
    assert list(folder.iterdir()) == []
