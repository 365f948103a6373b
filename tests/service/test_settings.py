from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import CliApp

from service.settings import Settings


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(f"BNSERVE_{field.upper()}", raising=False)


def parse(*arguments: str) -> Settings:
    return CliApp.run(Settings, cli_args=list(arguments))


def test_without_any_flag_the_service_listens_to_this_machine_alone() -> None:
    expected = ("127.0.0.1", 8000, Path("models/store"), "auto")

    settings = parse()

    assert (settings.host, settings.port, settings.store, settings.device) == expected


FIELDS = [
    ("store", "/somewhere", Path("/somewhere")),
    ("host", "0.0.0.0", "0.0.0.0"),  # noqa: S104
    ("port", "0", 0),
    ("port", "65535", 65535),
    ("device", "cuda:1", "cuda:1"),
    ("workers", "2", 2),
    ("threads", "3", 3),
    ("inline_below_ms", "0", 0.0),
    ("warm_up_s", "0.5", 0.5),
    ("versions", "latest:3;digits=all", "latest:3;digits=all"),
    ("repository_control", "false", False),
    ("max_batch_rows", "1", 1),
    ("max_batch_delay_ms", "2.5", 2.5),
    ("max_queue_requests", "1", 1),
    ("queue_full_status", "503", "503"),
    ("request_timeout_ms", "0", 0),
    ("refresh_interval_s", "0.5", 0.5),
    ("max_request_bytes", "1", 1),
    ("max_json_bytes", "1", 1),
    ("max_pending_bytes", "1", 1),
    ("observe_budget", "0.1", 0.1),
    ("observe_share", "1", 1.0),
    ("window_rows", "32", 32),
    ("window_s", "0.5", 0.5),
    ("alarm_rate", "0.01", 0.01),
    ("history_url", "sqlite:////somewhere/history.sqlite", "sqlite:////somewhere/history.sqlite"),
    ("reservoir_rows", "1000", 1000),
    ("reservoir_bytes", "1", 1),
    ("recalibration_timeout_s", "0.5", 0.5),
    ("compression", "false", False),
    ("shutdown_delay_s", "0.5", 0.5),
    ("shutdown_timeout_s", "0", 0),
    ("log_level", "debug", "debug"),
    ("log_format", "json", "json"),
    ("access_log", "true", True),
    ("otlp_endpoint", "http://127.0.0.1:4318", "http://127.0.0.1:4318"),
]


@pytest.mark.parametrize(("field", "text", "value"), FIELDS)
def test_every_setting_is_a_flag(field: str, text: str, value: object) -> None:
    flag = f"--{field.replace('_', '-')}"

    settings = parse(flag, text)

    assert getattr(settings, field) == value


@pytest.mark.parametrize(("field", "text", "value"), FIELDS)
def test_every_setting_is_a_variable(monkeypatch: pytest.MonkeyPatch, field: str, text: str, value: object) -> None:
    monkeypatch.setenv(f"BNSERVE_{field.upper()}", text)

    settings = parse()

    assert getattr(settings, field) == value


def test_all_settings_are_in_the_tables_above() -> None:
    tested = {field for field, _, _ in FIELDS}

    fields = set(Settings.model_fields)

    assert fields == tested


def test_a_flag_wins_over_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BNSERVE_PORT", "1")

    settings = parse("--port", "2")

    assert settings.port == 2


def test_every_setting_is_documented() -> None:
    fields = Settings.model_fields.items()

    undocumented = [name for name, field in fields if not field.description]

    assert undocumented == []


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("port", "-1"),
        ("port", "65536"),
        ("port", "http"),
        ("port", ""),
        ("workers", "0"),
        ("threads", "-1"),
        ("threads", "1.5"),
        ("refresh_interval_s", "0"),
        ("refresh_interval_s", "-1"),
        ("refresh_interval_s", "nan"),
        ("refresh_interval_s", "inf"),
        ("versions", "nonsense"),
        ("versions", "latest:0"),
        ("versions", "all;digits="),
        ("max_batch_rows", "0"),
        ("max_queue_requests", "0"),
        ("queue_full_status", "500"),
        ("max_request_bytes", "0"),
        ("observe_budget", "-0.1"),
        ("observe_budget", "nan"),
        ("observe_share", "1.1"),
        ("window_rows", "31"),
        ("window_rows", "513"),
        ("window_s", "0"),
        ("alarm_rate", "0"),
        ("alarm_rate", "0.6"),
        ("history_url", "mysql://host/database"),
        ("history_url", "sqlite://"),
        ("history_url", "no url"),
        ("reservoir_rows", "-1"),
        ("reservoir_bytes", "0"),
        ("recalibration_timeout_s", "0"),
        ("shutdown_timeout_s", "-1"),
        ("log_level", "loud"),
    ],
)
@pytest.mark.parametrize("given_as", ["flag", "variable"])
def test_a_value_out_of_range_is_refused(monkeypatch: pytest.MonkeyPatch, given_as: str, field: str, text: str) -> None:
    arguments = []
    if given_as == "flag":
        arguments = [f"--{field.replace('_', '-')}={text}"]
    else:
        monkeypatch.setenv(f"BNSERVE_{field.upper()}", text)

    with pytest.raises(ValidationError) as refusal:
        parse(*arguments)

    assert [problem["loc"] for problem in refusal.value.errors()] == [(field,)]


def test_settings_do_not_change() -> None:
    settings = parse()

    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1  # type: ignore[misc]  # mypy knows too
