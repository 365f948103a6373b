"""This module is what a study is: a claim, how it is measured, and what a page says of the results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from training.studies.data import MNIST, StudyData
from training.studies.plots import save_svg
from training.studies.results import Outcome, Results, Run, machine, read_results, today, write_results


@dataclass(frozen=True, slots=True)
class Shown:
    """What a study makes of its results.

    Attributes:
        figures: The part of the page with tables and plots, in Markdown; ``plot(name)`` refers to a plot.
        plots: By name; each becomes a file beside the page.
    """

    figures: str
    plots: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Study:
    """One claim of the paper, and what comes of measuring it.

    Attributes:
        name: As the command calls it.
        title: Of its page.
        claim: As the paper states it, with the section.
        setup: What is fitted to what, and what is measured.
        verdict: Where the claim held and where not, by the committed results.
        later: What later work says, with its sources.
        steps: Of each fit, unless the command says otherwise.
        seeds: How many, likewise.
        measure: Gives the outcome of every condition with one seed: data, steps, seed.
        show: Makes the figures of the results.
    """

    name: str
    title: str
    claim: str
    setup: str
    verdict: str
    later: str
    steps: int
    seeds: int
    measure: Callable[[StudyData, int, int], Iterator[Outcome]]
    show: Callable[[Results], Shown]


def run(study: Study, data: StudyData, *, steps: int, seeds: int, command: str, folder: Path) -> Results:
    """Measure, and keep what was measured as ``NAME.jsonl`` in a folder; ``write_page`` makes a page of it."""
    described = Run(
        study=study.name,
        command=command,
        data=data.name,
        train_rows=len(data.train),
        test_rows=len(data.test),
        steps=steps,
        seeds=seeds,
        date=today(),
        machine=machine(),
    )
    outcomes = (outcome for seed in range(seeds) for outcome in _timed(study.measure(data, steps, seed)))
    return write_results(folder / f"{study.name}.jsonl", described, outcomes)


def write_page(study: Study, folder: Path) -> Path:
    """Write page and plots of the results that are in the folder; nothing is computed again.

    Raises:
        StudyError: If there are no results there.
    """
    results = read_results(folder / f"{study.name}.jsonl")
    shown = study.show(results)
    for name, figure in shown.plots.items():
        save_svg(figure, folder / f"{study.name}-{name}.svg")
    page = folder / f"{study.name}.md"
    page.write_text(_page(study, results, shown))
    return page


def plot(study: str, name: str, says: str) -> str:
    """The plot of a study in Markdown, with what it says for those who can't see it."""
    return f"![{says}]({study}-{name}.svg)"


def _page(study: Study, results: Results, shown: Shown) -> str:
    run = results.run
    verdict = study.verdict.strip()
    if (run.data, run.steps, run.seeds) != (MNIST, study.steps, study.seeds):
        verdict = (
            f"By the run on {MNIST} with {study.steps:,} steps and {study.seeds} seeds, not by this one:\n\n{verdict}"
        )
    return f"""# {study.title}

{study.claim.strip()}

## Verdict

{verdict}

## What was run

    {run.command}

{study.setup.strip()}

- {run.data}: {run.train_rows:,} rows to fit to, {run.test_rows:,} to test on; {run.steps:,} steps a fit; \
{run.seeds} seeds, and so many values behind each mean; ± and bands are Student's intervals of 95 % of the mean
- {len(results.outcomes)} outcomes, {_duration(results.cpu_seconds)} of CPU time, {run.date}
- {run.machine}
- every number measured is in [{study.name}.jsonl]({study.name}.jsonl)

## Figures

{shown.figures.strip()}

## What later work says

{study.later.strip()}
"""


def _timed(outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    """Each outcome with the CPU time that it took."""
    start = time.process_time()
    for outcome in outcomes:
        yield outcome.model_copy(update={"cpu_seconds": round(time.process_time() - start, 4)})
        start = time.process_time()


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.1f} minutes" if seconds >= 60 else f"{seconds:.1f} seconds"
