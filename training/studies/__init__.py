"""This package is the claims of the batch normalization paper, measured; every study is listed here by its name.

The paper is Ioffe & Szegedy (2015), "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
Covariate Shift", arXiv 1502.03167; pages, plots and results are in ``docs/studies/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from training.errors import StudyError
from training.studies import (
    covariate_shift,
    learning_rates,
    mini_batches,
    regularization,
    saturation,
    scale,
    subsets,
)
from training.studies.study import Study

STUDIES: Mapping[str, Study] = {
    study.name: study
    for study in (
        covariate_shift.STUDY,
        learning_rates.STUDY,
        scale.STUDY,
        regularization.STUDY,
        saturation.STUDY,
        mini_batches.STUDY,
        subsets.STUDY,
    )
}


def study_named(name: str) -> Study:
    """A study by its name.

    Raises:
        StudyError: If there is none of this name.
    """
    if name not in STUDIES:
        near = "".join(f"; did you mean {match}?" for match in get_close_matches(name, STUDIES, n=1))
        raise StudyError(f"study: expected one of {', '.join(STUDIES)}, got {name!r}{near}")
    return STUDIES[name]
