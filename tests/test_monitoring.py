"""This module tests that what is handed to Prometheus and Grafana speaks of metrics and pages that there are."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.committed import copy_committed
from tests.service.running import DEADLINE_S, Service, in_process

ROOT = Path(__file__).parents[1]
PROMETHEUS = ROOT / "deploy" / "prometheus"
GRAFANA = ROOT / "deploy" / "grafana"
ALERTS = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((GRAFANA / "dashboards" / "bnserve.json").read_text())
METRICS_PAGE = (ROOT / "docs" / "metrics.md").read_text()
METRIC = re.compile(r"\bbnserve_\w+")
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The committed bundles, served."""
    store = copy_committed(tmp_path_factory.mktemp("monitored") / "store")
    with in_process(store.root, history_url="none") as running:
        yield running


def families(service: Service) -> list[Metric]:
    return list(text_string_to_metric_families(service.get("/metrics").text))


@pytest.fixture
def told(service: Service) -> set[str]:
    """The name of every sample that the service may tell of itself."""
    return {family.name + suffix for family in families(service) for suffix in SUFFIXES.get(family.type, ())}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_speaks_of_metrics_that_the_service_tells(rule: dict[str, Any], told: set[str]) -> None:
    asked = set(METRIC.findall(rule["expr"] + str(rule["annotations"])))

    missing = asked - told

    assert missing == set()
    assert asked or rule["alert"] == "BnserveDown"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_what_to_do_and_where_more_is_said(rule: dict[str, Any]) -> None:
    page, _, anchor = rule["annotations"]["page"].partition("#")

    headings = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), re.MULTILINE)

    assert rule["annotations"].keys() == {"summary", "description", "page"}
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert anchor == rule["alert"].lower()
    assert rule["alert"] in headings


def test_every_alert_is_tested() -> None:
    tests = yaml.safe_load((PROMETHEUS / "alerts-test.yml").read_text())["tests"]

    fired = {one["alertname"] for test in tests for one in test["alert_rule_test"] if one.get("exp_alerts")}

    assert fired == {rule["alert"] for rule in RULES}


def test_the_monitoring_page_says_of_no_alert_that_there_is_not() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text()

    named = re.findall(r"^### (Bnserve\w+)$", page, re.MULTILINE)

    assert named == [rule["alert"] for rule in RULES]


def test_every_panel_speaks_of_metrics_that_the_service_tells(told: set[str]) -> None:
    expressions = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    queries = [variable["definition"] for variable in DASHBOARD["templating"]["list"] if "definition" in variable]

    asked = [set(METRIC.findall(text)) for text in expressions + queries]

    assert set().union(*asked) - told == set()
    assert all(asked)


def test_every_family_of_the_service_is_on_the_dashboard(service: Service) -> None:
    """All but the time that was lost to failures, of which the number is shown."""
    board = json.dumps(DASHBOARD)

    hidden = {one.name for one in families(service) if one.name.startswith("bnserve_") and one.name not in board}

    assert hidden == {"bnserve_inference_failed_seconds"}


def test_panels_do_not_overlap_and_fill_the_width_of_the_dashboard() -> None:
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]

    cells = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]

    assert len(cells) == len(set(cells))
    assert {x for x, _ in cells} == set(range(24))
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)


def test_the_dashboard_takes_whichever_prometheus_is_chosen() -> None:
    asked = [target["datasource"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]

    assert all(one == {"type": "prometheus", "uid": "${datasource}"} for one in asked)


def test_every_family_of_the_service_is_documented(service: Service) -> None:
    documented = set(re.findall(r"^\| `(bnserve_\w+)`", METRICS_PAGE, re.MULTILINE))

    named = {
        one.name + ("_total" if one.type == "counter" else "")
        for one in families(service)
        if one.name.startswith("bnserve_")
    }

    assert named == documented


def test_a_layer_tells_its_depth_in_the_order_in_which_data_meets_it(service: Service) -> None:
    expected = [layer["name"] for layer in service.get("/v2/models/digits/normalization").json()["layers"]]

    depths: dict[str, float] = {}
    deadline = time.monotonic() + DEADLINE_S
    while not depths and time.monotonic() < deadline:  # until the version is observed, soon after it answers
        samples = [one for family in families(service) for one in family.samples if one.name.endswith("_layer_depth")]
        depths = {one.labels["layer"]: one.value for one in samples if one.labels["model"] == "digits"}

    assert depths == {name: float(number) for number, name in enumerate(expected)}
