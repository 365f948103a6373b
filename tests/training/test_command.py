import contextlib
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import training
from models.bundle import MODEL_FILE, NORMALIZATION_FILE, PARAMETERS_FILE, SAMPLE_FILE, Bundle
from models.manifest import MANIFEST_FILE
from models.store import Store
from tests.committed import DIGITS, copy_committed
from tests.service.observing import until
from training.__main__ import main

ROOT = Path(training.__file__).parents[1]
NAMED = ("--input-shape", "3,32,32", "--name", "mine")
FIT = ["fit", "digits-mlp", "--set", "epochs=1"]


@pytest.fixture
def copy(short: Bundle, tmp_path: Path) -> Path:
    """A bundle that a test may damage."""
    return Path(shutil.copytree(short.path, tmp_path / "copy"))


def test_fit_publishes_the_changed_recipe_in_the_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "store"

    code = main([*FIT, "--set", "name=tiny", "--set", "arguments={widths: [8]}", "--store", str(store)])

    manifest, printed = Store(store).open("tiny", 1).manifest, capsys.readouterr()
    assert code == 0
    assert manifest.training is not None
    assert (manifest.training.recipe["epochs"], manifest.network.arguments) == (1, {"widths": [8]})
    assert re.search(r"^ +hidden\.1 +BatchNorm1d +8 +folded-backward +hidden\.0$", printed.out, flags=re.MULTILINE)
    assert "1 of 1 normalization layers folded" in printed.out
    assert printed.out.splitlines()[-1] == f"published {store / 'tiny' / '1'}"
    assert [json.loads(line)["event"] for line in printed.err.splitlines()] == [
        "started",
        "epoch",
        "fitted",
        "statistics",
        "folded",
        "verified",
        "published",
    ]


def test_the_store_may_be_said_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BNTRAIN_STORE", "elsewhere")

    with pytest.raises(SystemExit):
        main(["fit", "--help"])

    assert "(default: elsewhere)" in " ".join(capsys.readouterr().out.split())


def test_verify_prints_every_tensor_and_that_all_is_well(short: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["verify", str(short.path)])

    printed = capsys.readouterr()
    rows = re.findall(r"^ +(output|tap) +(\S+) +(\d\.\de-\d\d) +(\d\.\de-\d\d)$", printed.out, flags=re.MULTILINE)
    assert code == 0
    assert [(kind, name) for kind, name, *_ in rows] == [("output", "logits"), ("tap", "hidden.1"), ("tap", "hidden.4")]
    assert f"{short.path}: every file intact, every output within 1e-05, every tap within 0.0001" in printed.out
    assert printed.err == ""


@pytest.mark.parametrize("name", [MODEL_FILE, NORMALIZATION_FILE, PARAMETERS_FILE, SAMPLE_FILE])
def test_verify_refuses_a_flipped_bit_in_one_sentence_that_names_the_file(
    copy: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)

    code = main(["verify", str(copy)])

    printed = capsys.readouterr()
    assert code == 1
    assert re.fullmatch(rf"bntrain: {re.escape(str(copy))}: {name}: sha256: [^\n]+\n", printed.err)
    assert printed.out == ""


@pytest.mark.parametrize("name", [MANIFEST_FILE, MODEL_FILE, PARAMETERS_FILE])
def test_verify_refuses_a_missing_file_by_name(copy: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / name).unlink()

    code = main(["verify", str(copy)])

    assert code == 1
    assert re.fullmatch(
        rf"bntrain: {re.escape(str(copy))}: {name}: expected a file that can be read[^\n]*\n", capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fit", "resnet"], r"recipe: expected one of [^\n]+, or a \.yaml file that exists, got 'resnet'"),
        ([*FIT, "--set", "momentum=1"], r"digits-mlp\.yaml: momentum: [^\n]+, got 1"),
        ([*FIT, "--checkpoint-every-s", "nan"], r"--checkpoint-every-s: expected more than 0, got nan"),
        ([*FIT, "--set", "epochs=0"], r"digits-mlp\.yaml: epochs: [^\n]+ greater than 0, got 0"),
        ([*FIT, "--set", "epochs"], r"--set: expected key=value, got 'epochs'"),
        ([*FIT, "--set", "network=transformer"], r"network: expected one of [^\n]+, got 'transformer'"),
        ([*FIT, "--set", "data=imagenet"], r"digits-mlp\.yaml: data: [^\n]+, got {'format': 'imagenet'}"),
        ([*FIT, "--set", "arguments={depth: 3}"], r"network mlp: arguments: [^\n]+'depth'"),
        ([*FIT, "--set", "arguments={widths: [-1]}"], r"network mlp: arguments: [^\n]+"),
        (
            [*FIT, "--set", "arguments={in_features: 3}"],
            r"network mlp: expected to take rows of shape \(1, 8, 8\): [^\n]+",
        ),
        (
            [*FIT, "--set", "arguments={num_classes: 3}"],
            r"network mlp: expected logits of shape \(2, 10\) for two rows, got \(2, 3\)",
        ),
        ([*FIT, "--set", "batch_rows=5000"], r"[^\n]*batch_rows[^\n]+"),
        ([*FIT, "--set", "seed=99999999999999"], r"digits-mlp\.yaml: seed: [^\n]+"),
        (
            [*FIT, "--set", "learning_rate=1e30"],
            r"epoch 1, step \d+: expected a finite loss, got nan [^\n]+hidden\.\d[^\n]+",
        ),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "refused",
)
def test_what_can_t_be_fitted_is_one_sentence_and_publishes_nothing(
    tmp_path: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([*arguments, "--store", str(tmp_path / "store")])

    last = capsys.readouterr().err.splitlines()[-1]
    assert code == 1
    assert re.fullmatch(rf"bntrain: {sentence}", last)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["fit"], ["verify"]], ids=" ".join)
def test_a_command_line_that_is_not_understood_exits_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(arguments)

    assert leaving.value.code == 2
    assert "usage: bntrain" in capsys.readouterr().err


def test_help_is_there_before_torch_could_be_imported() -> None:
    finished = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "training", "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        cwd=ROOT,
    )

    imported = {line.rsplit("|", 1)[-1].strip() for line in finished.stderr.splitlines()}
    assert finished.stdout.startswith("usage: bntrain")
    assert "training.errors" in imported
    assert imported & {"torch", "lightning", "onnx", "onnxruntime", "sklearn"} == set()


@pytest.mark.parametrize(("given", "used"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_threads_that_wait_sleep_unless_whoever_runs_the_command_says_otherwise(
    given: dict[str, str], used: str
) -> None:
    program = (
        "import os; from training.__main__ import main; "
        f"main(['report', {str(DIGITS)!r}]); print(os.environ['OMP_WAIT_POLICY'])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | given

    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        cwd=ROOT,
        env=environment,
    )

    assert done.stdout.splitlines()[-1] == used


def without_torch(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process that can't import what an environment made to serve lacks."""
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['lightning', 'sklearn', 'torch', 'yaml'])); "
        "from training.__main__ import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=ROOT)


@pytest.mark.parametrize(
    "arguments",
    [["fit", "digits"], ["networks"], ["verify", str(DIGITS)], ["export", "--network", "vgg", *NAMED]],
    ids=lambda arguments: arguments[0],
)
def test_an_environment_that_only_serves_says_what_to_install(arguments: list[str]) -> None:
    done = without_torch(*arguments)

    assert done.returncode == 1
    assert re.fullmatch(
        r"bntrain: expected (torch|yaml|lightning) to be installed, .*`make train` .*'\.\[training\]'.*\n", done.stderr
    )


def test_an_environment_that_only_serves_can_recalibrate(tmp_path: Path) -> None:
    store, rows = copy_committed(tmp_path / "store", DIGITS), tmp_path / "rows.npz"
    np.savez(rows, image=store.open("digits", 1).sample().inputs["image"])

    done = without_torch("recalibrate", str(store.bundle_path("digits", 1)), str(rows), "--prior-rows", "1000")

    assert (done.returncode, done.stderr) == (0, "")
    assert store.versions("digits") == [1, 2]


@pytest.mark.parametrize("command", [("report",), ("fold", "complete", "--dry-run")], ids=lambda command: command[0])
def test_an_environment_that_only_serves_can_do_what_takes_a_version(command: tuple[str, ...]) -> None:
    name, *rest = command

    done = without_torch(name, str(DIGITS), *rest)

    assert (done.returncode, done.stderr) == (0, "")
    assert "4 of 4 normalization layers folded" in done.stdout


def test_readers_of_report_and_events_may_leave_early(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training", *FIT, "--set", "arguments={widths: [8]}", "--store", str(tmp_path)]

    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.wait(timeout=300)

    assert process.returncode == 0
    assert Store(tmp_path).versions("digits-mlp") == [1]


def test_a_command_that_gets_a_signal_leaves_with_its_code(tmp_path: Path) -> None:
    endless = tmp_path / "rows.npz"
    os.mkfifo(endless)
    command = [sys.executable, "-m", "training", "calibrate", str(DIGITS), str(endless)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process, contextlib.ExitStack() as opened:
        until(lambda: opens_to_write(endless, opened) or process.poll() is not None)

        process.send_signal(signal.SIGTERM)
        _, err = process.communicate()

    assert (process.returncode, err) == (143, "bntrain: SIGTERM\n")


def opens_to_write(pipe: Path, opened: contextlib.ExitStack) -> bool:
    """Open a named pipe, and leave it open, if a process has opened it to read from it."""
    try:
        opened.callback(os.close, os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return False
    return True
