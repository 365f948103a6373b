import numpy as np
import pytest

from models.bundle import Bundle
from models.stacked_moments import StackedMoments
from service.normalization.judgement import Judge, Judgement
from tests.service.normalization.watching import judge_of, sight_of
from tests.service.observing import normal_rows


def test_the_model_is_as_far_off_as_its_furthest_layer() -> None:
    """Scores of all layers are alike, so the largest one stands for all."""
    judgement = Judgement([0.5, 9.0, -1.0, 12.0], threshold=5.0)

    found = (judgement.score, judgement.alarm)

    assert found == (12.0, True)


def test_the_first_layer_is_the_first_beyond_the_threshold() -> None:
    """Not the furthest: what moved at one layer moves those behind it."""
    judgement = Judgement([0.5, 9.0, -1.0, 12.0], threshold=5.0)

    first = judgement.first_layer

    assert first == 1


def test_a_score_at_the_threshold_is_no_alarm() -> None:
    """The threshold is what so many windows are beyond."""
    judgement = Judgement([5.0], threshold=5.0)

    found = (judgement.alarm, judgement.first_layer)

    assert found == (False, None)


@pytest.mark.parametrize("rows", [32, 100, 256])
def test_rows_like_those_of_training_raise_no_alarm(bundle: Bundle, rows: int) -> None:
    """At a rate of one in a thousand windows; the rows of this one are fixed."""
    sight = sight_of(bundle, normal_rows(rows, seed=rows))

    judgement = judge_of(bundle).judge(sight.moments)

    assert judgement is not None
    assert not judgement.alarm


@pytest.mark.parametrize("rows", [32, 100, 256])
def test_rows_that_have_moved_by_two_deviations_raise_an_alarm(bundle: Bundle, rows: int) -> None:
    """Each input by as much."""
    sight = sight_of(bundle, normal_rows(rows, mean=2.0))

    judgement = judge_of(bundle).judge(sight.moments)

    assert judgement is not None
    assert judgement.alarm
    assert judgement.first_layer == 0


def test_a_higher_alarm_rate_has_a_lower_threshold(bundle: Bundle) -> None:
    """Whoever wants to hear of less has to hear more false alarms."""
    moments = sight_of(bundle, normal_rows(64)).moments

    often, rarely = (judge_of(bundle, alarm_rate=rate).judge(moments) for rate in (0.1, 0.001))

    assert often is not None
    assert rarely is not None
    assert often.threshold < rarely.threshold
    assert often.scores == rarely.scores


@pytest.mark.parametrize("rows", [1, 31, 257])
def test_too_few_rows_and_too_many_are_not_judged(bundle: Bundle, rows: int) -> None:
    """Windows of such sizes were not drawn when the bundle was made, or have more rows than were held out: 256."""
    moments = sight_of(bundle, normal_rows(rows)).moments

    judgement = judge_of(bundle).judge(moments)

    assert judgement is None


def test_nothing_is_judged_without_a_calibration(bundle: Bundle) -> None:
    """As of a network that was exported without real rows."""
    columns = judge_of(bundle).columns
    moments = sight_of(bundle, normal_rows(64)).moments

    judgement = Judge(columns, None, 0.001).judge(moments)

    assert judgement is None


def test_no_rows_are_not_judged(bundle: Bundle) -> None:
    """Nothing has been seen, which is no news."""
    nothing = StackedMoments.empty(3)

    judgement = judge_of(bundle).judge(nothing)

    assert judgement is None
    assert np.isnan(nothing.variance).all()


@pytest.mark.parametrize(("wanted", "rows"), [(64, 64), (256, 256), (512, 256)])
def test_a_window_has_no_more_rows_than_can_be_judged(bundle: Bundle, wanted: int, rows: int) -> None:
    """Else it would be closed without a judgement, always."""
    judge = judge_of(bundle)

    found = judge.window_rows(wanted)

    assert found == rows


def test_a_window_that_is_not_judged_has_as_many_rows_as_are_wanted(bundle: Bundle) -> None:
    """Without a calibration there is nothing to heed."""
    judge = Judge(judge_of(bundle).columns, None, 0.001)

    found = judge.window_rows(512)

    assert found == 512
