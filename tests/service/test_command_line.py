import pytest

from service.command_line import CommandLineError, read_settings, unknown_variables
from service.settings import Settings

SWITCHES = [name for name, field in Settings.model_fields.items() if field.annotation is bool]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(f"BNSERVE_{field.upper()}", raising=False)


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("--{flag}", True),
        ("--no-{flag}", False),
        ("--{flag} true", True),
        ("--{flag} false", False),
        ("--{flag}=false", False),
        ("--{flag} --port 1", True),
        ("--port 1 --no-{flag}", False),
    ],
)
def test_what_is_true_or_false_is_said_by_its_flag_alone_or_by_a_value(name: str, form: str, *, value: bool) -> None:
    arguments = form.format(flag=name.replace("_", "-")).split()

    settings = read_settings(arguments)

    assert getattr(settings, name) is value


@pytest.mark.parametrize(
    ("arguments", "port"), [(["--port", "1"], 1), (["--port=1"], 1), (["--port=1", "--access-log", "--port", "2"], 2)]
)
def test_a_value_follows_its_flag_either_way_and_the_last_one_counts(arguments: list[str], port: int) -> None:
    settings = read_settings(arguments)

    assert settings.port == port


def test_a_value_may_be_empty_or_hold_what_flags_hold() -> None:
    settings = read_settings(["--versions", "latest:2;digits=all", "--otlp-endpoint", ""])

    assert (settings.versions, settings.otlp_endpoint) == ("latest:2;digits=all", "")


def test_what_a_flag_does_not_say_a_variable_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BNSERVE_ACCESS_LOG", "true")

    assert read_settings([]).access_log is True
    assert read_settings(["--no-access-log"]).access_log is False


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--prot", "80"], "expected a flag, got '--prot'; did you mean --port?"),
        (["--max-batch-row=3"], "expected a flag, got '--max-batch-row=3'; did you mean --max-batch-rows?"),
        (["--access_log"], "expected a flag, got '--access_log'; did you mean --access-log?"),
        (["--no-port"], "expected a flag, got '--no-port'; did you mean --port?"),
        (["--zzz"], "expected a flag, got '--zzz'; --help lists them"),
        (["8000"], "expected a flag, got '8000'; --help lists them"),
        (["--port"], "--port: expected a value, got none"),
        (["--port", "--access-log"], "--port: expected a value, got none"),
        (["--no-access-log=true"], "--no-access-log: expected no value, got 'true'"),
        (["--port", "-1"], "port: Input should be greater than or equal to 0, got '-1'"),
    ],
)
def test_what_is_not_understood_is_one_sentence(arguments: list[str], sentence: str) -> None:
    with pytest.raises(CommandLineError) as refused:
        read_settings(arguments)

    assert str(refused.value) == sentence


def test_variables_that_look_like_settings_and_are_none_are_named() -> None:
    """Those of settings are not, in any case of letters, as they are read in any."""
    environment = ["PATH", "BNSERVE_PORT", "bnserve_host", "BNSERVE_PROT", "BNSERVE_SERVICE_HOST"]

    sentences = unknown_variables(environment)

    assert [sentence.split(":")[0] for sentence in sentences] == ["BNSERVE_PROT", "BNSERVE_SERVICE_HOST"]
    assert sentences[0].endswith("; did you mean BNSERVE_PORT?")
