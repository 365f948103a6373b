import os
from pathlib import Path

import pytest

from models.cpus import quota_threads, usable_cpus

AVAILABLE = len(os.sched_getaffinity(0))
MANY = 10_000


@pytest.fixture(autouse=True)
def _many_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of so many CPUs that only a quota bounds them."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(MANY)))


def machine(folder: Path, own: str, files: dict[str, str]) -> int:
    """Usable CPUs where ``/proc/self/cgroup`` and files below ``/sys/fs/cgroup`` are these."""
    cgroups = folder / "cgroup"
    for name, text in files.items():
        path = cgroups / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "own").write_text(own)
    return usable_cpus(cgroups=cgroups, own_cgroups=folder / "own")


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("200000 100000\n", 2),
        ("150000 100000\n", 1),
        ("399999 100000\n", 3),
        ("50000 100000\n", 1),
        ("max 100000\n", MANY),
        ("nonsense\n", MANY),
        ("", MANY),
    ],
)
def test_the_quota_of_a_container_bounds_them(tmp_path: Path, quota: str, expected: int) -> None:
    files = {"cpu.max": quota}

    cpus = machine(tmp_path, "0::/\n", files)

    assert cpus == expected


def test_the_smallest_quota_on_the_way_to_the_root_counts(tmp_path: Path) -> None:
    files = {"a/b/cpu.max": "800000 100000", "a/cpu.max": "300000 100000", "cpu.max": "max 100000"}

    cpus = machine(tmp_path, "0::/a/b\n", files)

    assert cpus == 3


def test_groups_of_version_1_are_understood(tmp_path: Path) -> None:
    files = {"cpu,cpuacct/pod/cpu.cfs_quota_us": "250000\n", "cpu,cpuacct/pod/cpu.cfs_period_us": "100000\n"}

    cpus = machine(tmp_path, "7:memory:/pod\n3:cpu,cpuacct:/pod\n", files)

    assert cpus == 2


def test_no_quota_of_version_1_is_none(tmp_path: Path) -> None:
    files = {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}

    cpus = machine(tmp_path, "3:cpu:/\n", files)

    assert cpus == MANY


def test_a_group_that_is_not_shown_inside_the_container_is_found_at_the_root(tmp_path: Path) -> None:
    files = {"cpu.max": "200000 100000"}

    cpus = machine(tmp_path, "0::/system.slice/docker-0123.scope\n", files)

    assert cpus == 2


def test_without_control_groups_all_cpus_of_the_process_count(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"

    cpus = usable_cpus(cgroups=nowhere, own_cgroups=nowhere)

    assert cpus == MANY


def test_the_affinity_of_the_process_bounds_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {1, 5})

    cpus = machine(tmp_path, "0::/\n", {"cpu.max": "800000 100000"})

    assert cpus == 2


def test_this_process_may_use_at_least_one_and_at_most_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    cpus = usable_cpus()

    assert 1 <= cpus <= AVAILABLE


@pytest.mark.parametrize(
    ("quota", "expected"), [("200000 100000", 2), ("max 100000", 0), (f"{MANY * 100_000} 100000", 0)]
)
def test_a_library_has_its_own_choice_of_threads_unless_a_quota_is_less(
    tmp_path: Path, quota: str, expected: int
) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    (tmp_path / "own").write_text("0::/\n")

    threads = quota_threads(cgroups=tmp_path, own_cgroups=tmp_path / "own")

    assert threads == expected
