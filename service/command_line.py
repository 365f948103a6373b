"""This module reads the settings off a command line, and says in one sentence what it did not understand.

The settings' own parser prints the usage of thirty flags for one that is misspelt, and knows no flag without a value.
So a line is brought into the one form ``--flag=value`` first.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pydantic import ValidationError
from pydantic_settings import CliApp

from service.settings import Settings

HELP = frozenset({"--help", "-h"})
PREFIX = "BNSERVE_"
SECRET = frozenset({"history_url"})
"""Settings that may hold a password, and are not repeated."""

_FLAGS: Mapping[str, str] = {f"--{name.replace('_', '-')}": name for name in Settings.model_fields}
_SWITCHES = [flag for flag, name in _FLAGS.items() if Settings.model_fields[name].annotation is bool]
_SWITCHED_OFF = {flag.replace("--", "--no-", 1): flag for flag in _SWITCHES}


class CommandLineError(Exception):
    """A flag or a variable was not understood; the text is one sentence."""


def read_settings(arguments: Sequence[str]) -> Settings:
    """Take the settings from arguments, and from the environment's variables what these do not say.

    ``--flag value`` and ``--flag=value`` are the same; of true and false, ``--flag`` and ``--no-flag`` say it too.

    Raises:
        CommandLineError: If an argument is no flag, one lacks its value, or a value is out of its range.
        SystemExit: After the help, if it was asked for.
    """
    try:
        return CliApp.run(Settings, cli_args=list(_in_one_form(arguments)))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in problem["loc"])
        got = "" if field in SECRET else f", got {problem['input']!r}"
        raise CommandLineError(f"{field}: {problem['msg']}{got}") from error


def unknown_variables(environment: Iterable[str]) -> list[str]:
    """One sentence on each variable that looks like a setting and is none, as one that is misspelt."""
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    unknown = sorted(name for name in environment if name.upper().startswith(PREFIX) and name.upper() not in known)
    return [f"{name}: expected a variable of a setting, this is none{_meant(name, known)}" for name in unknown]


def _in_one_form(arguments: Sequence[str]) -> Iterator[str]:
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        flag, given, _ = argument.partition("=")
        if argument in HELP:
            yield argument
        elif flag in _SWITCHED_OFF and not given:
            yield f"{_SWITCHED_OFF[flag]}=false"
        elif flag not in _FLAGS:
            raise CommandLineError(_not_understood(argument))
        elif given:
            yield argument
        elif rest and not rest[0].startswith("--"):
            yield f"{flag}={rest.pop(0)}"
        elif flag in _SWITCHES:
            yield f"{flag}=true"
        else:
            raise CommandLineError(f"{flag}: expected a value, got none")


def _not_understood(argument: str) -> str:
    flag = argument.partition("=")[0]
    if flag in _SWITCHED_OFF:
        return f"{flag}: expected no value, got {argument.partition('=')[2]!r}"
    meant = _meant(flag, [*_FLAGS, *_SWITCHED_OFF]) or "; --help lists them"
    return f"expected a flag, got {argument!r}{meant}"


def _meant(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
