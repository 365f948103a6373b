"""This module writes the page of the recalibration study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean, stdev

from benchmarks.drift.corruptions import CORRUPTIONS
from benchmarks.drift.recalibration import COMMAND, PRIOR_ROWS, SETTINGS, UNCORRUPTED, CaseRecord
from benchmarks.drift.recalibration_text import READING, TITLE
from benchmarks.folding.markdown import section, table
from benchmarks.folding.results import Results

LOST = 0.02
"""Of the accuracy, what has to be lost before it is said what share came back: less is noise on some thousand rows."""

BAR = 0.5
"""Of the lost accuracy, what the most rows have to bring back on the average."""

MOST = (SETTINGS[-1][0], 0)
"""The setting that the bar is about: the most rows, and no prior."""

GEOMETRY = ("rotation", "shift")


def page(results: Results) -> tuple[str, list[str]]:
    """The page in Markdown, and which bars it misses, one sentence each."""
    lines = results.of(COMMAND)
    measured = [CaseRecord.model_validate(line.record) for line in lines.values()]
    records = [record for record in measured if record.classes is None]
    of_few_classes = [record for record in measured if record.classes is not None]
    lost = [record for record in records if record.lost >= LOST]
    if not lost:
        return "", [f"{COMMAND}: expected results with at least {LOST:.0%} of the accuracy lost, got none"]
    command = f"python -m benchmarks.drift {COMMAND} --mnist FOLDER"
    harmless = [record for record in records if record.lost < LOST]
    groups = {
        "By strength": lost,
        f"Where less than {LOST:.0%} was lost": harmless,
        "On rows of few classes": of_few_classes,
    }
    tables = [_every(title, group) for title, group in groups.items() if group]
    body = "\n".join((_answer(lost), _averages(lost), *tables, _reading(lost, harmless, of_few_classes)))
    text = f"{TITLE}\n{section('Corrupted MNIST', command, (line.environment for line in lines.values()), body)}"
    return text, [
        f"{COMMAND}: expected at least {BAR:.0%} of the lost accuracy to be recovered, got {share:.1%}, {how}"
        for how, share in (
            ("mean of shares", _mean_share(lost, MOST)),
            ("of all that is lost", _share_of_all(lost, MOST)),
        )
        if share < BAR
    ]


def describe(record: CaseRecord) -> str:
    """A case in one line, for whoever waits."""
    seconds = sum(outcome.seconds for outcome in record.outcomes)
    after = fmean(record.after(*MOST))
    return (
        f"{record.clean:.1%}, corrupted {record.before:.1%}, recalibrated {after:.1%}; {seconds:.0f} s of recalibration"
    )


def _answer(lost: Sequence[CaseRecord]) -> str:
    mean, together = _mean_share(lost, MOST), _share_of_all(lost, MOST)
    calls = sum(len(record.outcomes) for record in lost)
    return (
        f"**With {MOST[0]} unlabelled rows {mean:.0%} of the lost accuracy comes back**: the mean over the {len(lost)} "
        f"corruptions and strengths\nthat take at least {LOST:.0%}. Of all that they take together, {together:.0%}. "
        f"Refused were {_refused(lost)} of {calls} recalibrations.\n"
    )


def _refused(records: Sequence[CaseRecord]) -> int:
    return sum(outcome.refused is not None for record in records for outcome in record.outcomes)


def _averages(lost: Sequence[CaseRecord]) -> str:
    """By corruption, averaged over the strengths that take accuracy; then over all."""
    rows = [
        _row(f"{name}, {len(group)} strengths", group)
        for name in CORRUPTIONS
        if (group := [record for record in lost if record.corruption == name])
    ]
    shares = [f"{_mean_share(lost, setting):.0%}" for setting in SETTINGS]
    last = ["recovered, mean", "", "", *shares, ""]
    return f"### By corruption\n\n{table(_header('accuracy, %'), [*rows, _row('**all**', lost), last])}"


def _every(title: str, records: Sequence[CaseRecord]) -> str:
    return f"### {title}\n\n{table(_header('accuracy, %'), [_row(_name(record), [record]) for record in records])}"


def _reading(lost: Sequence[CaseRecord], harmless: Sequence[CaseRecord], of_few_classes: Sequence[CaseRecord]) -> str:
    first, few, most = lost[0], SETTINGS[0], MOST
    geometry = [record for record in lost if record.corruption in GEOMETRY]
    others = [record for record in lost if record.corruption not in GEOMETRY]
    harmless = harmless or lost
    return READING.format(
        most=most[0],
        few=few[0],
        lost=LOST,
        draws=len(first.after(*most)),
        spread_few=_spread(lost, few),
        spread_most=_spread(lost, most),
        scored=first.scored_rows,
        geometry=_mean_share(geometry or lost, most),
        others=_mean_share(others or lost, most),
        harmless_before=fmean(record.before for record in harmless),
        harmless_few=fmean(fmean(record.after(*few)) for record in harmless),
        harmless_most=fmean(fmean(record.after(*most)) for record in harmless),
        refused_few_classes=_refused(of_few_classes) or "None",
        prior="\n".join(_priors(lost)),
    )


def _priors(lost: Sequence[CaseRecord]) -> Iterator[str]:
    for rows in dict.fromkeys(rows for rows, _ in SETTINGS):
        shares = {prior: _mean_share(lost, (rows, prior)) for prior in PRIOR_ROWS if (rows, prior) in SETTINGS}
        told = ", ".join(f"{share:.1%} with N={prior}" for prior, share in shares.items())
        yield f"- {rows} rows recover {told}."


def _header(first: str) -> list[str]:
    return [first, "clean", "before", *(f"n={rows}, N={prior}" for rows, prior in SETTINGS), "recovered"]


def _row(name: str, group: Sequence[CaseRecord]) -> list[str]:
    accuracies = [fmean(record.clean for record in group), fmean(record.before for record in group)]
    accuracies += [fmean(fmean(record.after(*setting)) for record in group) for setting in SETTINGS]
    told = all(record.lost >= LOST and record.classes is None for record in group)
    share = f"{_mean_share(group, MOST):.0%}" if told else ""
    return [name, *(f"{100 * accuracy:.1f}" for accuracy in accuracies), share]


def _name(record: CaseRecord) -> str:
    classes = f", rows of {record.classes} classes" if record.classes else ""
    if record.corruption == UNCORRUPTED:
        return f"not corrupted{classes}"
    corruption = CORRUPTIONS[record.corruption]
    return f"{corruption.name} {record.level} ({corruption.strengths[record.level - 1]:g}){classes}"


def _mean_share(lost: Sequence[CaseRecord], setting: tuple[int, int]) -> float:
    """The mean of the shares that came back, every corruption and strength counting the same."""
    return fmean((fmean(record.after(*setting)) - record.before) / record.lost for record in lost)


def _share_of_all(lost: Sequence[CaseRecord], setting: tuple[int, int]) -> float:
    """What came back together, of what was lost together."""
    back = fmean(fmean(record.after(*setting)) - record.before for record in lost)
    return back / fmean(record.lost for record in lost)


def _spread(lost: Sequence[CaseRecord], setting: tuple[int, int]) -> float:
    draws = [record.after(*setting) for record in lost]
    return fmean(stdev(found) if len(found) > 1 else 0.0 for found in draws)
