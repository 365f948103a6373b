import pytest

from benchmarks.history.__main__ import main
from benchmarks.history.kill import kill
from benchmarks.history.postgres import find_binaries


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_nothing_is_lost_or_damaged_by_three_kills(database: str) -> None:
    if database == "postgresql" and find_binaries() is None:
        pytest.skip("PostgreSQL is not installed")
    told: list[str] = []

    result = kill(database, 3, told.append, quick=True)

    assert result.problems == []
    assert (result.rounds, len(told), sum(result.kills.values())) == (3, 3, 3)
    assert result.reported > 0
    assert (result.missing, result.recorded_through) == (0, result.stored_through)


def test_a_database_of_another_kind_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["kill", "--database", "mysql"])

    assert "invalid choice: 'mysql'" in capsys.readouterr().err
