import pytest
from pydantic import ValidationError

from models.normalization import Normalization


def test_what_it_does_not_say_is_the_usual() -> None:
    change = Normalization.model_validate({"types": ["ReLU"]})

    assert change == Normalization(action="insert", types=("ReLU",), where="before", eps=1e-5, momentum=0.1)


def test_what_is_written_out_in_full_reads_as_the_same() -> None:
    change = Normalization(action="freeze", names=("*.norm",), learn=False)

    assert Normalization.model_validate(change.model_dump(mode="json")) == change


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "expected names, types or both"),
        ({"names": []}, "expected names, types or both"),
        ({"names": [""]}, "at least 1 character"),
        ({"names": "features"}, "valid tuple"),
        ({"types": ["ReLU"], "where": "behind"}, "'before' or 'after'"),
        ({"types": ["ReLU"], "action": "add"}, "'insert', 'remove' or 'freeze'"),
        ({"types": ["ReLU"], "eps": 0}, "greater than 0"),
        ({"types": ["ReLU"], "momentum": 1.5}, "less than or equal to 1"),
        ({"types": ["ReLU"], "momentum": float("nan")}, "momentum"),
        ({"types": ["ReLU"], "after": True}, "Extra inputs"),
        ({"types": ["ReLU"], "learn": False}, "learn is for action: freeze alone"),
        ({"types": ["*"], "action": "remove", "eps": 1e-3}, "eps is for action: insert alone"),
        ({"types": ["*"], "action": "freeze", "where": "after"}, "where is for action: insert alone"),
    ],
)
def test_what_says_nothing_or_contradicts_itself_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Normalization.model_validate(fields)
