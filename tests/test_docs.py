import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from models.normalization import Normalization
from service.settings import Settings
from tests.committed import DIGITS, copy_as, copy_committed
from tests.service.running import Server, Service, in_process, over_socket
from training.insert import normalize
from training.networks import build_network
from training.normalization import normalization_layers
from training.recipe import RECIPES, Recipe, load_recipe

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
README = (ROOT / "README.md").read_text()
RELATIVE_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
CURL_BODY = re.compile(r"infer -d '(\{.*?\})'", re.DOTALL)
COMMAND = re.compile(r"^    ((?:curl|head|tail) (?:.|\n {5,}\S)*)$", re.MULTILINE)
SHOWN_ANSWER = re.compile(r'^    (\{"model_name".*\})$', re.MULTILINE)


@pytest.fixture(scope="module")
def demo_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundles that whoever clones the repository has; tests share them, so none changes them."""
    return copy_committed(tmp_path_factory.mktemp("demo") / "store").root


@pytest.fixture(scope="module")
def demo(demo_store: Path) -> Iterator[Service]:
    """The service on them."""
    with in_process(demo_store) as service:
        yield service


@pytest.fixture(scope="module")
def demo_server(demo_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same over a socket."""
    with over_socket(demo_store, tmp_path_factory.mktemp("log") / "stderr") as server:
        server.wait_until_ready()
        yield server


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_that_exist(page: Path) -> None:
    links = RELATIVE_LINK.findall(page.read_text())

    missing = [link for link in links if not (page.parent / link).exists()]

    assert missing == []


def test_every_page_is_listed() -> None:
    for index in (ROOT / "docs").rglob("README.md"):
        listed = set(RELATIVE_LINK.findall(index.read_text()))

        below = {f"{other.parent.name}/README.md" for other in index.parent.glob("*/README.md")}
        assert listed == below | {page.name for page in index.parent.glob("*.md")} - {"README.md"}, index


def test_every_setting_is_documented_with_its_default() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()

    rows = dict(re.findall(r"^\| `(--[a-z-]+)` \| (`BNSERVE_[A-Z_]+` \| `[^`]+`) \|", page, re.MULTILINE))

    assert rows == {
        f"--{name.replace('_', '-')}": f"`BNSERVE_{name.upper()}` | `{_shown(field.default)}`"
        for name, field in Settings.model_fields.items()
    }


def test_every_option_of_a_recipe_is_documented() -> None:
    pages = [(ROOT / "docs" / name).read_text() for name in ("training.md", "fit.md", "data.md", "inserting.md")]

    words = set(re.findall(r"[a-z_]+", " ".join(pages)))

    assert Recipe.model_fields.keys() - words == set()


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if default == "":
        return '""'
    return f"{default:g}" if isinstance(default, float) else str(default)


def test_the_readme_shows_the_answer_that_its_request_gets(demo: Service) -> None:
    body = CURL_BODY.search(README)
    shown = SHOWN_ANSWER.search(README)
    assert body is not None
    assert shown is not None

    answer = demo.post("/v2/models/digits/infer", content=body[1].encode()).json()

    # printed with every digit of float32, of which another processor may round the last ones differently
    expected = json.loads(shown[1])
    assert answer["outputs"][0]["data"] == pytest.approx(expected["outputs"][0]["data"], rel=1e-4, abs=1e-4)
    assert _without_data(answer) == _without_data(expected)


def _without_data(answer: dict[str, Any]) -> dict[str, Any]:
    return answer | {"outputs": [{**output, "data": None} for output in answer["outputs"]]}


def test_the_openapi_page_brings_a_request_that_can_be_tried_out(demo: Service) -> None:
    document = demo.get("/openapi.json").json()
    operation = document["paths"]["/v2/models/{model}/infer"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["example"]

    answer = demo.post("/v2/models/digits/infer", json=example)

    logits = answer.json()["outputs"][0]["data"]
    assert logits.index(max(logits)) == 3


def test_every_form_of_the_openapi_page_works_as_it_is_filled_in(tmp_path: Path) -> None:
    """Whoever presses Execute and nothing else sees answers, not refusals; only to roll back there is nothing yet."""
    store = copy_committed(tmp_path / "store")
    refused: dict[str, int] = {}

    with in_process(store.root, versions="all") as service:  # to recalibrate makes further ones
        for path, methods in service.get("/openapi.json").json()["paths"].items():
            for method, operation in methods.items():
                if "unload" not in path:  # for it changes what the others answer
                    response = service.request(method, _filled_in(path, operation), json=_example_body(operation))
                    refused |= {} if response.status_code == 200 else {path: response.status_code}

    assert refused == {"/v2/repository/models/{model}/rollback": 409}


def _filled_in(path: str, operation: dict[str, Any]) -> str:
    parameters = [each for each in operation.get("parameters", ()) if each["in"] == "path"]
    return path.format_map({each["name"]: each["example"] for each in parameters})


def _example_body(operation: dict[str, Any]) -> object:
    content = operation.get("requestBody", {}).get("content", {})
    return content.get("application/json", {}).get("example")


def test_the_statistics_that_the_page_shows_are_those_of_its_two_requests(demo_store: Path) -> None:
    """All but the times, which no two machines share."""
    page = (ROOT / "docs" / "metrics.md").read_text()
    shown = re.search(r'^    (\{"model_stats".*?\})$', page, re.MULTILINE | re.DOTALL)
    body = CURL_BODY.search(README)
    assert shown is not None
    assert body is not None

    with in_process(demo_store) as service:
        for content in (body[1], "{}"):
            service.post("/v2/models/digits/infer", content=content.encode())
        answer = service.get("/v2/models/digits/stats").text

    assert _without_times(answer) == _without_times(shown[1])


def _without_times(document: str) -> object:
    return json.loads(re.sub(r'("ns"|"last_inference"): ?[0-9]+', r"\1: 0", document))


@pytest.mark.skipif(shutil.which("curl") is None, reason="the pages show requests as curl sends them")
def test_every_request_that_a_page_shows_is_answered_as_it_is_printed(tmp_path: Path) -> None:
    """In the order of the pages, after ``make train`` has published a second version.

    Those of recalibration want rows in a file; a test of their own runs them.
    """
    pages = [page for page in PAGES if page.name != "recalibration.md"]
    commands = [command for page in pages for command in COMMAND.findall(page.read_text())]
    store = copy_committed(tmp_path / "store")
    copy_as(store, DIGITS, version=2)

    with over_socket(store.root, tmp_path / "log") as server:
        server.wait_until_ready()
        for command in commands:
            here = re.sub(r"(http://)?(127\.0\.0\.1|localhost):8000", server.url, command)
            done = subprocess.run(
                ["/bin/sh", "-c", here.replace("curl ", "curl --fail-with-body --silent --show-error ")],
                cwd=tmp_path,
                capture_output=True,
                check=False,
                timeout=300,
            )
            assert done.returncode == 0, f"{command}: {done.stdout!r} {done.stderr!r}"

    assert len(commands) >= 10


def test_the_training_page_lists_every_recipe() -> None:
    page = (ROOT / "docs" / "training.md").read_text()

    listed = re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)

    assert listed == sorted(load_recipe(path.stem).name for path in RECIPES.glob("*.yaml"))


@pytest.mark.parametrize("name", ["inserting.md", "training.md"])
def test_what_a_page_shows_of_normalize_can_be_done(name: str) -> None:
    (shown,) = re.findall(r"^normalize:\n(?: +- .*\n)+", (ROOT / "docs" / name).read_text(), re.MULTILINE)
    changes = load_recipe("digits-mlp", [f"normalize={yaml.safe_load(shown)['normalize']}"]).normalize
    network = build_network("mlp", {})

    normalize(network, torch.zeros(2, 1, 8, 8), changes)

    layers = ["hidden.2.normalization", "hidden.5.normalization"]
    assert list(normalization_layers(network)) == (layers if name == "inserting.md" else ["hidden.1", *layers])


def test_every_field_of_normalize_is_documented() -> None:
    page = (ROOT / "docs" / "inserting.md").read_text()

    documented = re.findall(r"^\| (`[a-z]+`(?:, `[a-z]+`)*) \| (?!what)", page, re.MULTILINE)

    assert set(re.findall(r"[a-z]+", " ".join(documented))) == set(Normalization.model_fields)


def test_the_example_classifies_its_digits(demo_server: Server) -> None:
    command = [sys.executable, str(ROOT / "examples" / "classify_digits.py"), demo_server.address]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    assert done.stdout.splitlines() == [f"a {digit} is taken for a {digit}" for digit in (0, 1, 2)], done.stderr


def test_the_example_exports_a_network_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "export_your_own.py"), str(tmp_path / "store")]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)

    assert done.stdout.splitlines() == [
        "hidden.1: folded-backward into hidden.0",
        "hidden.3: folded-forward into head",
    ], done.stderr
    assert (tmp_path / "store" / "tagger" / "1" / "manifest.json").is_file()
