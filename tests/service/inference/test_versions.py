import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.inference.versions import (
    EveryVersion,
    LatestVersions,
    ListedVersions,
    VersionPolicies,
    VersionPolicy,
    parse_policies,
    parse_policy,
)

NUMBERS = st.integers(min_value=1, max_value=10**18 - 1)
POLICIES = (
    st.just(EveryVersion())
    | NUMBERS.map(LatestVersions)
    | st.frozensets(NUMBERS, min_size=1, max_size=5).map(ListedVersions)
)
LATEST = LatestVersions(2)


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [
        (EveryVersion(), {1, 2, 5, 10}),
        (LatestVersions(1), {10}),
        (LatestVersions(2), {5, 10}),
        (LatestVersions(9), {1, 2, 5, 10}),
        (ListedVersions(frozenset({1, 5, 7})), {1, 5}),
        (ListedVersions(frozenset({7})), set()),
    ],
)
def test_a_policy_chooses_from_what_can_be_served(policy: VersionPolicy, chosen: set[int]) -> None:
    versions = [10, 1, 5, 2]

    found = policy.choose(versions)

    assert found == chosen


@given(policy=POLICIES, versions=st.sets(NUMBERS, max_size=8))
def test_choosing_again_changes_nothing(policy: VersionPolicy, versions: set[int]) -> None:
    chosen = policy.choose(versions)

    again = policy.choose(chosen)

    assert again == chosen
    assert chosen <= versions


@given(count=st.integers(min_value=1, max_value=9), versions=st.sets(NUMBERS, max_size=8))
def test_the_latest_are_as_many_as_asked_for_and_none_left_out_is_higher(count: int, versions: set[int]) -> None:
    policy = LatestVersions(count)

    chosen = policy.choose(versions)

    assert len(chosen) == min(count, len(versions))
    assert all(left_out < taken for taken in chosen for left_out in versions - chosen)


@given(policy=POLICIES)
def test_a_policy_is_read_as_it_is_written(policy: VersionPolicy) -> None:
    text = str(policy)

    read = parse_policy(text)

    assert read == policy


@pytest.mark.parametrize(
    ("text", "policies"),
    [
        ("all", VersionPolicies(EveryVersion())),
        ("latest:1", VersionPolicies(LatestVersions(1))),
        ("3", VersionPolicies(ListedVersions(frozenset({3})))),
        ("1, 3", VersionPolicies(ListedVersions(frozenset({1, 3})))),
        ("digits=all", VersionPolicies(LATEST, {"digits": EveryVersion()})),
        (
            " latest:3 ; digits = all;mlp=1,3",
            VersionPolicies(LatestVersions(3), {"digits": EveryVersion(), "mlp": ListedVersions(frozenset({1, 3}))}),
        ),
        ("digits=all;latest:3", VersionPolicies(LatestVersions(3), {"digits": EveryVersion()})),
    ],
)
def test_policies_are_read(text: str, policies: VersionPolicies) -> None:
    expected = policies

    read = parse_policies(text)

    assert read == expected


def test_a_model_that_is_not_named_has_the_default_policy() -> None:
    policies = parse_policies("latest:3;digits=all")

    found = [str(policies.of(model)) for model in ("digits", "mlp")]

    assert found == ["all", "latest:3"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected all, latest:N or numbers of versions as in 1,3 where it says ''"),
        ("nonsense", "expected all, latest:N or numbers of versions as in 1,3 where it says 'nonsense'"),
        ("latest", "expected all, latest:N or numbers of versions as in 1,3 where it says 'latest'"),
        ("latest:0", "expected all, latest:N or numbers of versions as in 1,3 where it says 'latest:0'"),
        ("latest:-1", "expected all, latest:N or numbers of versions as in 1,3 where it says 'latest:-1'"),
        ("1,,3", "expected all, latest:N or numbers of versions as in 1,3 where it says '1,,3'"),
        ("01", "expected all, latest:N or numbers of versions as in 1,3 where it says '01'"),
        ("all;", "expected all, latest:N or numbers of versions as in 1,3 where it says ''"),
        ("all;digits=some", "expected all, latest:N or numbers of versions as in 1,3 where it says 'some'"),
        ("all;latest:2", "expected one part for the models that are not named, not several"),
        ("digits=all;digits=1", "expected one part for digits, not several"),
        ("=all", "expected the name of a model where it says ''"),
        ("../digits=all", "expected the name of a model where it says '../digits'"),
        ("a=b=all", "expected the name of a model where it says 'a=b'"),
    ],
)
def test_what_is_no_policy_is_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="expected ") as refusal:
        parse_policies(text)

    assert str(refusal.value) == message
