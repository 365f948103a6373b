import pytest

from tests.service.running import Service


@pytest.mark.parametrize("path", ["/v2/models/tiny", "/v2/models/tiny/versions/1"])
def test_a_model_says_how_it_is_configured(service: Service, path: str) -> None:
    response = service.get(f"{path}/config")

    config = response.json()

    assert response.status_code == 200
    assert config["name"] == "tiny"
    assert config["version_policy"] == {"latest": {"num_versions": 2}}
    assert config["max_batch_size"] == 64
    assert config["dynamic_batching"]["default_queue_policy"]["max_queue_size"] == 256
    assert config["instance_group"][0]["kind"] == "KIND_CPU"


def test_what_the_configuration_names_the_metadata_describes(service: Service) -> None:
    metadata = service.get("/v2/models/tiny").json()

    config = service.get("/v2/models/tiny/config").json()

    for kind in ("input", "output"):
        described = [(each["name"], f"TYPE_{each['datatype']}", each["shape"][1:]) for each in metadata[f"{kind}s"]]
        assert [(each["name"], each["data_type"], each["dims"]) for each in config[kind]] == described


def test_fields_that_a_tensor_has_no_need_of_are_left_out(service: Service) -> None:
    expected = ["name", "data_type", "dims"]

    response = service.get("/v2/models/tiny/config")

    assert [list(tensor) for tensor in response.json()["input"]] == [expected]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/models/unknown/config", 404),
        ("/v2/models/tiny/versions/3/config", 404),
        ("/v2/models/broken/config", 503),
        ("/v2/models/broken/versions/1/config", 503),
    ],
)
def test_what_does_not_answer_has_no_configuration(service: Service, path: str, status: int) -> None:
    expected = status

    response = service.get(path)

    assert response.status_code == expected
    assert list(response.json()) == ["error"]
