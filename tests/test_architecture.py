"""This module tests what import-linter can't see: what is loaded, what is set, how long a file is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LONGEST_MODULE_LINES = 300


def python(program: str, **variables: str) -> str:
    """What a fresh Python prints, without ONNX Runtime's variable unless it is given."""
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    finished = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        cwd=ROOT,
        env=environment | variables,
    )
    return finished.stdout.strip()


@pytest.mark.parametrize("module", ["service.app", "service.__main__"])
def test_the_service_loads_nothing_that_only_training_or_folding_needs(module: str) -> None:
    heavy = {"torch", "lightning", "training", "folding", "onnx", "onnx_ir", "onnxscript", "sklearn"}

    loaded = python(f"import sys, {module}; print(*sys.modules)").split()

    assert "service.app" in loaded
    assert heavy & set(loaded) == set()


def test_the_service_loads_what_traces_need_only_if_they_are_wanted() -> None:
    program = "import sys, service.__main__, service.tracing as t; t.open_tracer(''); print(*sys.modules)"

    loaded = python(program).split()

    assert "service.tracing" in loaded
    assert [name for name in loaded if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))] == []


def test_folding_loads_neither_side_and_no_torch() -> None:
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "folding").rglob("*.py")]

    loaded = set(python(f"import sys, {', '.join(modules)}; print(*sys.modules)".replace(".__init__", "")).split())

    assert {"folding.rules", "onnxruntime"} <= loaded
    assert {"service", "training", "torch", "lightning", "sklearn", "fastapi"} & loaded == set()


def test_models_load_neither_side() -> None:
    program = "import sys, models.bundle, models.store, models.health; print(*sys.modules)"

    loaded = set(python(program).split())

    assert {"folding", "service", "training", "torch", "onnx", "onnxruntime", "fastapi"} & loaded == set()


@pytest.mark.parametrize("package", ["folding", "service", "training"])
def test_telemetry_of_the_runtime_is_off(package: str) -> None:
    program = f"import os, {package}; print(os.environ['ORT_DISABLE_TELEMETRY'])"

    value = python(program)

    assert value == "1"


@pytest.mark.parametrize("package", ["folding", "service", "training"])
def test_whoever_sets_the_telemetry_of_the_runtime_is_heard(package: str) -> None:
    program = f"import os, {package}; print(os.environ['ORT_DISABLE_TELEMETRY'])"

    value = python(program, ORT_DISABLE_TELEMETRY="0")

    assert value == "0"


@pytest.mark.parametrize("package", ["folding", "models", "service", "training"])
def test_no_module_is_longer_than_one_can_read(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))

    lines = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in files}

    assert lines
    assert {name: count for name, count in lines.items() if count > LONGEST_MODULE_LINES} == {}
