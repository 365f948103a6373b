"""This module tests the Job of training: it fits the image and the service, and knows which ends may be passing."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.test_deploy import DOCKERFILE, manifest, stage
from training.recipe import RECIPES

FOLDER = Path(__file__).parents[1] / "deploy" / "kubernetes" / "training"
DOCUMENTS = [document for path in sorted(FOLDER.glob("*.yaml")) for document in yaml.safe_load_all(path.read_text())]
(JOB,) = (document for document in DOCUMENTS if document["kind"] == "Job")
POD: dict[str, Any] = JOB["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
MOUNTS = {mount["mountPath"]: mount for mount in CONTAINER["volumeMounts"]}
VOLUMES = {volume["name"]: volume for volume in POD["volumes"]}
IMAGE = dict(re.findall(r"\b(BNTRAIN_[A-Z_]+)=(\S+)", stage("training")))
"""The variables of the image."""


def action(code: int) -> str:
    """What the Job does after an exit code: the first rule that fits, else the end is counted."""
    for rule in JOB["spec"]["podFailurePolicy"]["rules"]:
        codes = rule.get("onExitCodes")
        if codes is not None and (code in codes["values"]) == (codes["operator"] == "In"):
            return str(rule["action"])
    return "Count"


@pytest.mark.parametrize("code", [1, 2])
def test_what_would_fail_again_is_not_tried_again(code: int) -> None:
    assert action(code) == "FailJob"


@pytest.mark.parametrize("code", [75, 130, 137, 143])
def test_what_was_stopped_or_may_pass_goes_on_in_another_pod(code: int) -> None:
    assert action(code) == "Count"
    assert JOB["spec"]["backoffLimit"] >= 3


def test_a_node_that_is_taken_away_is_not_counted() -> None:
    rules = JOB["spec"]["podFailurePolicy"]["rules"]

    ignored = [rule["onPodConditions"] for rule in rules if rule["action"] == "Ignore"]

    assert ignored == [[{"type": "DisruptionTarget"}]]


def test_the_rules_are_such_as_the_cluster_takes() -> None:
    """They need pods that are never started again in place, name the container, and leave out the code 0."""
    excluded = [rule["onExitCodes"] for rule in JOB["spec"]["podFailurePolicy"]["rules"] if "onExitCodes" in rule]

    assert POD["restartPolicy"] == "Never"
    assert {codes["containerName"] for codes in excluded} == {CONTAINER["name"]}
    assert all(0 not in codes["values"] for codes in excluded if codes["operator"] == "In")


def test_two_pods_never_write_to_one_run() -> None:
    spec = JOB["spec"]

    assert (spec["parallelism"], spec["completions"], spec["podReplacementPolicy"]) == (1, 1, "Failed")


def test_it_has_the_rights_of_the_service_and_no_more() -> None:
    service = manifest("Deployment")["spec"]["template"]["spec"]

    assert POD["securityContext"] == service["securityContext"]
    assert CONTAINER["securityContext"] == service["containers"][0]["securityContext"]
    assert POD["automountServiceAccountToken"] is False
    assert POD["enableServiceLinks"] is False


def test_it_writes_where_the_image_says_into_the_store_that_is_served() -> None:
    (served,) = (v for v in manifest("Deployment")["spec"]["template"]["spec"]["volumes"] if v["name"] == "store")
    variables = {variable["name"]: variable["value"] for variable in CONTAINER["env"]}

    store = VOLUMES[MOUNTS[variables["BNTRAIN_STORE"]]["name"]]["persistentVolumeClaim"]

    assert variables | IMAGE == variables
    assert store["claimName"] == served["persistentVolumeClaim"]["claimName"]
    assert not MOUNTS[variables["BNTRAIN_STORE"]].get("readOnly")
    assert not MOUNTS[variables["BNTRAIN_RUNS"]].get("readOnly")


def test_what_is_loaded_of_the_hub_lasts() -> None:
    (folder,) = re.findall(r"\bHF_HOME=(\S+)", stage("training"))

    assert "pip --python /opt/venv install '.[training,hub]'" in stage("build-training")
    assert Path(folder).parent == Path(IMAGE["BNTRAIN_RUNS"])


def test_data_is_mounted_where_the_image_works_and_only_read() -> None:
    working = re.search(r"^WORKDIR (\S+)$", stage("training"), re.MULTILINE)
    assert working is not None

    data = MOUNTS[working[1]]

    assert data["readOnly"] is True
    assert VOLUMES[data["name"]]["persistentVolumeClaim"]["readOnly"] is True


def test_what_else_it_can_write_to_is_memory() -> None:
    others = [MOUNTS[path]["name"] for path in MOUNTS if path not in (*IMAGE.values(), "/data")]

    assert {path for path in MOUNTS if MOUNTS[path]["name"] in others} == {"/tmp", "/dev/shm"}  # noqa: S108
    assert all(VOLUMES[name]["emptyDir"]["medium"] == "Memory" for name in others)


def test_the_claims_that_are_its_own_are_made_beside_it() -> None:
    claimed = {v["persistentVolumeClaim"]["claimName"] for v in VOLUMES.values() if "persistentVolumeClaim" in v}

    made = {document["metadata"]["name"] for document in DOCUMENTS if document["kind"] == "PersistentVolumeClaim"}

    assert claimed - made == {"bnserve-store"}


def test_the_service_is_applied_without_it() -> None:
    applied = [document for path in FOLDER.parent.glob("*.yaml") for document in yaml.safe_load_all(path.read_text())]

    assert {document["kind"] for document in applied} == {"Deployment", "Service"}


def test_it_fits_a_recipe_that_there_is() -> None:
    command, recipe = CONTAINER["args"]

    assert command == "fit"
    assert (RECIPES / f"{recipe}.yaml").is_file()


def test_the_limit_of_the_cpus_is_whole_so_that_threads_fill_it() -> None:
    limits = CONTAINER["resources"]["limits"]

    assert float(limits["cpu"]) == int(float(limits["cpu"])) >= 1


def test_the_folders_of_the_image_belong_to_its_user() -> None:
    made = re.findall(r"install --directory --owner bn (\S+)", DOCKERFILE)
    volumes = re.search(r"^VOLUME (.*)$", stage("training"), re.MULTILINE)
    assert volumes is not None

    assert set(volumes[1].split()) == set(IMAGE.values()) <= set(made)
