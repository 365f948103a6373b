from pathlib import Path

import pytest

from service.history.urls import parse_url, shown, sqlite_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sqlite:////var/lib/history.sqlite", "sqlite:////var/lib/history.sqlite"),
        ("sqlite:///history.sqlite", "sqlite:///history.sqlite"),
        ("postgresql://me:secret@db:5432/bn", "postgresql+psycopg://me:***@db:5432/bn"),
        ("postgres://db/bn?sslmode=require", "postgresql+psycopg://db/bn?sslmode=require"),
        ("postgresql+psycopg://db/bn?password=secret&host=%2Frun", "postgresql+psycopg://db/bn?host=%2Frun"),
    ],
)
def test_a_url_is_read_and_shown_without_its_password(text: str, expected: str) -> None:
    assert shown(parse_url(text)) == expected


def test_a_path_may_have_any_name() -> None:
    path = Path("/data/with ? and # and %41")

    assert sqlite_url(path).database == str(path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "got no URL"),
        ("secret", "got no URL"),
        ("postgresql://me:secret@db:port/bn", "got no URL"),
        ("mysql://me:secret@db/bn", "got a URL of mysql"),
        ("postgresql+psycopg2://me:secret@db/bn", r"got a URL of postgresql\+psycopg2"),
        ("sqlite://", "the path of a file"),
        ("sqlite:///:memory:", "the path of a file"),
        ("sqlite:///file:secret?uri=true", "the path of a file"),
        ("sqlite:///history.sqlite?mode=ro", "got parameters"),
    ],
)
def test_what_can_not_be_opened_is_refused_without_being_repeated(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refused:
        parse_url(text)

    assert "secret" not in str(refused.value)
