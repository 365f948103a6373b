"""This module writes the page of the recalibration study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean, stdev

from benchmarks.drift.corruptions import CORRUPTIONS
from benchmarks.drift.recalibration import COMMAND, PRIOR_ROWS, SETTINGS, UNCORRUPTED, CaseRecord
from benchmarks.folding.markdown import section, table
from benchmarks.folding.results import Results

LOST = 0.02
"""Of the accuracy, what has to be lost before it is said what share came back: less is noise on some thousand rows."""

BAR = 0.5
"""Of the lost accuracy, what the most rows have to bring back on the average."""

MOST = (SETTINGS[-1][0], 0)
"""The setting that the bar is about: the most rows, and no prior."""

GEOMETRY = ("rotation", "shift")

_TITLE = """# Recalibration, measured

What [recalibration](recalibration.md) without labels brings back of the accuracy that corrupted images take. The
network is a ConvNet of four convolutions, fitted to MNIST and nothing else. One half of MNIST's test file, at random,
is there to recalibrate on, the other to take accuracies on: no row is in both. Accuracies are the folded graph's, under
ONNX Runtime.
"""

_READING = """### How to read it

`n=32, N=16` is: recalibrated on 32 unlabelled rows, with the source's statistics counted as 16 further ones. With no
prior (`N=0`) at least 32 rows are asked for, so there is no such column for 8. `recovered` is the share of the lost
accuracy that came back, `(after - before) / (clean - before)`, with {most} rows and no prior; it is told where at least
{lost:.0%} were lost. Where recalibration is refused, the version before goes on, and its accuracy counts.

Every figure is the mean of {draws} draws of the rows; their standard deviation is {spread_few:.1%} for {few} rows and
{spread_most:.1%} for {most}, averaged over the corruptions. {scored:,} rows are judged, the same before and after.

### Where it helps, and where it does not

- **Noise, blur, contrast and brightness** move the mean and the variance of what the filters give. Putting those right
  is all that recalibration does, and it is most of what is wrong.
- **Rotation and shift** move where things are, and hardly what a channel's values are like. Statistics can't say that a
  digit hangs askew: {geometry:.0%} of what these two take comes back, {others:.0%} of what the other four do.
- **Where little is lost, little is to be won**, and few rows may cost more than they bring. Averaged over what takes
  less than {lost:.0%}, an accuracy of {harmless_before:.1%} becomes {harmless_few:.1%} with {few} rows and a prior of
  16, and {harmless_most:.1%} with {most} rows and none.
- **The network is brittle**, more than one would be that was fitted to noisy or grey images: MNIST's background is
  exactly black. So there is much to bring back. Of a network that was made robust less is lost, and less comes back: in
  Schneider et al. (2020) the error of ResNet-50 on corrupted ImageNet falls from 76.7 to 62.2, that of ResNet-50 with
  DeepAugment and AugMix from 53.6 to 45.4 (mCE).
- **All rows are of one corruption, and of all ten classes in their usual mix.** Traffic that is neither is what
  [recalibration](recalibration.md) warns of; it was not measured here.

### Which prior

{prior}

A prior draws towards statistics that are wrong by as much as the data has moved. It pays where rows are few and data
has moved little, and it is the only way with fewer than 32; the stronger the corruption, the more harm it keeps. From
128 rows on it makes hardly any difference.
"""


def page(results: Results) -> tuple[str, list[str]]:
    """The page in Markdown, and which bars it misses, one sentence each."""
    lines = results.of(COMMAND)
    records = [CaseRecord.model_validate(line.record) for line in lines.values()]
    lost = [record for record in records if record.lost >= LOST]
    if not lost:
        return "", [f"{COMMAND}: expected results with at least {LOST:.0%} of the accuracy lost, got none"]
    command = f"python -m benchmarks.drift {COMMAND} --mnist FOLDER"
    body = "\n".join((_answer(lost), _averages(lost), _every(lost), _harmless(records), _reading(records, lost)))
    text = f"{_TITLE}\n{section('Corrupted MNIST', command, (line.environment for line in lines.values()), body)}"
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
    outcomes = [outcome for record in lost for outcome in record.outcomes]
    refused = sum(outcome.refused is not None for outcome in outcomes)
    return (
        f"**With {MOST[0]} unlabelled rows {mean:.0%} of the lost accuracy comes back**: the mean over the {len(lost)} "
        f"corruptions and strengths\nthat take at least {LOST:.0%}. Of all that they take together, {together:.0%}. "
        f"Refused were {refused} of {len(outcomes)} recalibrations.\n"
    )


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


def _every(lost: Sequence[CaseRecord]) -> str:
    rows = [_row(_name(record), [record]) for record in lost]
    return f"### By strength\n\n{table(_header('accuracy, %'), rows)}"


def _harmless(records: Sequence[CaseRecord]) -> str:
    rows = [_row(_name(record), [record])[:-1] for record in records if record.lost < LOST]
    return f"### Where less than {LOST:.0%} was lost\n\n{table(_header('accuracy, %')[:-1], rows)}" if rows else ""


def _reading(records: Sequence[CaseRecord], lost: Sequence[CaseRecord]) -> str:
    first, few, most = lost[0], SETTINGS[0], MOST
    geometry = [record for record in lost if record.corruption in GEOMETRY]
    others = [record for record in lost if record.corruption not in GEOMETRY]
    harmless = [record for record in records if record.lost < LOST] or lost
    return _READING.format(
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
    share = f"{_mean_share(group, MOST):.0%}" if all(record.lost >= LOST for record in group) else ""
    return [name, *(f"{100 * accuracy:.1f}" for accuracy in accuracies), share]


def _name(record: CaseRecord) -> str:
    if record.corruption == UNCORRUPTED:
        return "not corrupted"
    corruption = CORRUPTIONS[record.corruption]
    return f"{corruption.name} {record.level} ({corruption.strengths[record.level - 1]:g})"


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
