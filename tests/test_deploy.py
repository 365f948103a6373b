import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings
from service.supervisor import END_S

ROOT = Path(__file__).parents[1]
KUBERNETES = ROOT / "deploy" / "kubernetes"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
HISTORY = Path("/history")


NOT_SERVED = {"dev", "hub", "mlflow", "service-common", "service-gpu", "training"}
"""Extras that are not for the service on a CPU, or that others hold."""


def stage(name: str) -> str:
    """The lines of one stage of the Dockerfile."""
    found = re.search(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


IMAGE = dict(re.findall(r"\b(BNSERVE_[A-Z_]+)=(\S+)", stage("service")))
"""The variables of the service's image."""


def manifest(kind: str) -> dict[str, Any]:
    found = [document for path in KUBERNETES.glob("*.yaml") for document in yaml.safe_load_all(path.read_text())]
    (wanted,) = (document for document in found if document["kind"] == kind)
    assert isinstance(wanted, dict)
    return wanted


@pytest.fixture
def pod() -> dict[str, Any]:
    """What the Deployment makes."""
    template: dict[str, Any] = manifest("Deployment")["spec"]["template"]
    return template


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    """The only one of the pod."""
    (only,) = pod["spec"]["containers"]
    assert isinstance(only, dict)
    return only


@pytest.fixture
def settings(container: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What the container's variables say, and where they say nothing the image's."""
    for name, value in IMAGE.items():
        monkeypatch.setenv(name, value)
    for variable in container["env"]:
        if "value" in variable:  # else it comes from a secret that need not be there
            assert variable.get("valueFrom") is None
            monkeypatch.setenv(variable["name"], variable["value"])
    return Settings()


def test_the_image_of_the_service_has_whatever_a_setting_may_ask_for() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

    installed = re.search(r"install '\.\[([a-z,]+)\]'", stage("build-service"))

    assert installed is not None
    assert set(installed[1].split(",")) == set(extras) - NOT_SERVED


@pytest.mark.parametrize(
    ("name", "rooms"), [("service", {"folding", "service"}), ("training", {"folding", "training"})]
)
def test_an_image_has_the_rooms_that_it_needs_and_no_other(name: str, rooms: set[str]) -> None:
    copied = re.findall(r"^COPY (\S+) (\S+)$", stage(f"build-{name}"), re.MULTILINE)

    assert set(copied) == {("models/*.py", "models/"), *((room, room) for room in rooms)}


def test_every_variable_of_the_container_is_a_setting(container: dict[str, Any]) -> None:
    known = {f"BNSERVE_{name.upper()}" for name in Settings.model_fields} | {"ORT_DISABLE_TELEMETRY"}

    used = {variable["name"] for variable in container["env"]}

    assert used - known == set()
    assert "ORT_DISABLE_TELEMETRY" in used


def test_the_cluster_adds_no_variables_that_look_like_settings(pod: dict[str, Any]) -> None:
    prefix = manifest("Service")["metadata"]["name"].upper()

    links = pod["spec"].get("enableServiceLinks", True)

    assert (prefix, links) == ("BNSERVE", False)


def test_all_ports_are_the_one_that_the_service_listens_on(
    pod: dict[str, Any], container: dict[str, Any], settings: Settings
) -> None:
    (port,) = container["ports"]
    (exposed,) = manifest("Service")["spec"]["ports"]

    probed = {container[f"{kind}Probe"]["httpGet"]["port"] for kind in ("startup", "liveness", "readiness")}

    assert port["containerPort"] == settings.port
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == str(settings.port)
    assert probed | {exposed["targetPort"]} == {port["name"]}
    assert settings.host == "0.0.0.0"  # noqa: S104


def test_the_service_finds_the_pods_of_the_deployment(pod: dict[str, Any]) -> None:
    labels = pod["metadata"]["labels"]

    selectors = [manifest("Service")["spec"]["selector"], manifest("Deployment")["spec"]["selector"]["matchLabels"]]

    assert selectors == [labels, labels]


def test_the_cluster_waits_until_the_service_has_ended(pod: dict[str, Any], settings: Settings) -> None:
    needed_s = settings.shutdown_delay_s + settings.shutdown_timeout_s + END_S

    grace_s = pod["spec"]["terminationGracePeriodSeconds"]

    assert grace_s >= needed_s
    assert settings.shutdown_delay_s > 0


def test_the_delay_is_longer_than_the_cluster_takes_to_see_that_it_is_not_ready(
    container: dict[str, Any], settings: Settings
) -> None:
    probe = container["readinessProbe"]

    seen_after_s = probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]

    assert seen_after_s < settings.shutdown_delay_s


def test_the_container_is_the_user_of_the_image_and_may_write_nothing_that_lasts(
    pod: dict[str, Any], container: dict[str, Any], settings: Settings
) -> None:
    user = re.search(r"--uid (\d+)", DOCKERFILE)
    assert user is not None
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}

    security = container["securityContext"]

    assert pod["spec"]["securityContext"]["runAsUser"] == int(user[1])
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert (security["readOnlyRootFilesystem"], security["allowPrivilegeEscalation"]) == (True, False)
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert mounts[str(settings.store)]["readOnly"] is True
    assert "emptyDir" in volumes[mounts["/tmp"]["name"]]  # noqa: S108
    assert "emptyDir" in volumes[mounts[str(HISTORY)]["name"]]
    assert len(mounts) == 3


def test_the_history_is_in_a_folder_that_the_image_makes_for_its_user(settings: Settings) -> None:
    made = re.search(r"^RUN install --directory --owner bn (\S+)$", stage("service"), re.MULTILINE)
    volumes = re.search(r"^VOLUME (.*)$", stage("service"), re.MULTILINE)
    assert made is not None
    assert volumes is not None

    path = Path(settings.history_url.removeprefix("sqlite:///"))

    assert (made[1], path.parent) == (str(HISTORY), HISTORY)
    assert volumes[1].split() == [str(settings.store), str(HISTORY)]


def test_the_history_of_all_pods_is_where_a_secret_says_if_there_is_one(container: dict[str, Any]) -> None:
    (url,) = (variable for variable in container["env"] if variable["name"] == "BNSERVE_HISTORY_URL")

    secret = url["valueFrom"]["secretKeyRef"]

    assert secret == {"name": "bnserve-history", "key": "url", "optional": True}


def test_the_limit_of_the_cpus_is_whole_so_that_threads_fill_it(container: dict[str, Any]) -> None:
    limit = container["resources"]["limits"]["cpu"]

    cpus = float(limit)

    assert cpus == int(cpus) >= 1
