"""This module tests what docker-compose.yml starts, with which rights, and where it may write."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.normalization.history import refuse_unknown_url
from service.settings import Settings

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROFILES = {
    "training": "training",
    "training-gpu": "training",
    "prometheus": "monitoring",
    "grafana": "monitoring",
    "postgres": "postgres",
}


def resolved(volume: str) -> str:
    """What is mounted where no variable says otherwise."""
    return re.sub(r"\$\{\w+:-(.*?)\}", r"\1", volume)


def target(volume: str) -> str:
    """Where a volume lies in its container."""
    return resolved(volume).split(":")[1]


def test_up_starts_the_service_alone() -> None:
    profiles = {name: made["profiles"][0] for name, made in SERVICES.items() if "profiles" in made}

    assert profiles == PROFILES
    assert set(SERVICES) - set(profiles) == {"service"}


@pytest.mark.parametrize("made", SERVICES.values(), ids=SERVICES)
def test_no_container_has_capabilities_or_writes_beside_its_volumes(made: dict[str, Any]) -> None:
    rights = (made["read_only"], made["cap_drop"], made["security_opt"])

    assert rights == (True, ["ALL"], ["no-new-privileges:true"])


def test_every_volume_is_used_and_declared() -> None:
    mounted = {resolved(volume).split(":")[0] for made in SERVICES.values() for volume in made["volumes"]}

    named = {volume for volume in mounted if not volume.startswith("./")}

    assert named == set(COMPOSE["volumes"])
    assert all((ROOT / volume).is_dir() for volume in mounted - named)


def test_the_history_is_on_a_volume_that_can_be_written_to_and_its_url_can_be_set() -> None:
    service = SERVICES["service"]
    default = re.fullmatch(r"\$\{BNSERVE_HISTORY_URL:-(.*)\}", service["environment"]["BNSERVE_HISTORY_URL"])
    assert default is not None
    folder = Path(default[1].removeprefix("sqlite:///")).parent

    (volume,) = (volume for volume in service["volumes"] if target(volume) == str(folder))

    refuse_unknown_url(default[1])
    assert not volume.endswith(":ro")


def test_the_service_and_its_database_have_one_password() -> None:
    given = SERVICES["service"]["environment"]["PGPASSWORD"]

    assert given == SERVICES["postgres"]["environment"]["POSTGRES_PASSWORD"]
    assert "ports" not in SERVICES["postgres"]


def test_every_variable_of_the_service_is_a_setting() -> None:
    known = {f"BNSERVE_{name.upper()}" for name in Settings.model_fields}

    used = {name for name in SERVICES["service"]["environment"] if name.startswith("BNSERVE_")}

    assert used <= known


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_what_monitors_listens_on_this_machine_alone(name: str) -> None:
    ports = SERVICES[name]["ports"]

    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_prometheus_asks_the_service_on_its_port() -> None:
    scrapes = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]

    asked = [(one["names"], one["port"]) for scrape in scrapes for one in scrape["dns_sd_configs"]]

    assert [scrape["job_name"] for scrape in scrapes] == ["bnserve"]
    assert asked == [(["service"], Settings.model_fields["port"].default)]


def test_grafana_asks_prometheus_and_finds_its_dashboard() -> None:
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "bnserve.yml").read_text())["providers"]

    mounted = {target(volume): ROOT / volume.split(":")[0] for volume in SERVICES["grafana"]["volumes"]}

    assert source["url"] == "http://prometheus:9090"
    assert mounted[provider["options"]["path"]].joinpath("bnserve.json").is_file()
    assert mounted["/etc/grafana/provisioning"] == provisioning


def test_training_reads_data_that_it_can_t_change_and_keeps_runs_and_what_it_publishes() -> None:
    """The folder of the data can be said; without, there is an empty volume, and nothing is made in the clone."""
    volumes = SERVICES["training"]["volumes"]

    assert volumes == ["store:/store", "runs:/runs", "${BNTRAIN_DATA:-data}:/data:ro"]
    assert "store:/store:ro" in SERVICES["service"]["volumes"]


def test_training_on_a_gpu_differs_by_the_gpu_alone() -> None:
    with_gpu = dict(SERVICES["training-gpu"])

    (device,) = with_gpu.pop("deploy")["resources"]["reservations"]["devices"]

    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    assert with_gpu == SERVICES["training"]
