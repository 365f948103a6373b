"""This module makes a virtual environment for a peer, once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks.serving.contenders import ContenderError
from benchmarks.serving.networks import ROOT

ENVIRONMENTS = ROOT / "runs" / "peers"
INSTALLED = "installed.txt"


def python_of(name: str, requirements: Sequence[str]) -> Path:
    """The Python of an environment with these requirements and this environment's ONNX Runtime.

    Raises:
        ContenderError: If they can't be installed.
    """
    folder = ENVIRONMENTS / name
    wanted = "\n".join([*requirements, f"onnxruntime=={version('onnxruntime')}"])
    marker = folder / INSTALLED
    if not marker.exists() or marker.read_text() != wanted:
        sys.stderr.write(f"{name}: installing {wanted.replace(chr(10), ', ')}\n")
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        _run([str(_python(folder)), "-m", "pip", "install", "--quiet", *wanted.splitlines()])
        marker.write_text(wanted)
    return _python(folder)


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  venv and pip
    if done.returncode:
        raise ContenderError(f"{' '.join(command)}: {done.stderr.strip()[-4000:]}")
