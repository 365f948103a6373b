"""This module counts the CPUs that this process may use: by its affinity, and by its container's quota.

A container that may use two of sixty-four CPUs still sees sixty-four; the kernel would stop as many threads for most of
every period, and every answer with them.

Source: Linux, Documentation/admin-guide/cgroup-v2.rst (cpu.max) and scheduler/sched-bwc.rst (cpu.cfs_quota_us).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


def usable_cpus(*, cgroups: Path = CGROUPS, own_cgroups: Path = OWN_CGROUPS) -> int:
    """How many CPUs this process may keep busy, at least 1; a quota of 2.5 CPUs counts as 2, so that it is never cut.

    Args:
        cgroups: Where the kernel shows control groups.
        own_cgroups: Where it says which of them this process is in.
    """
    quotas = [quota for folder in _folders(cgroups, own_cgroups) if (quota := _quota(folder)) is not None]
    return max(1, min([len(os.sched_getaffinity(0)), *map(math.floor, quotas)]))


def quota_threads(*, cgroups: Path = CGROUPS, own_cgroups: Path = OWN_CGROUPS) -> int:
    """How many threads to allow a library that would take a thread a core: 0, its own choice, unless a quota is less.

    Args:
        cgroups: As ``usable_cpus`` takes it.
        own_cgroups: As ``usable_cpus`` takes it.
    """
    cpus = usable_cpus(cgroups=cgroups, own_cgroups=own_cgroups)
    return cpus if cpus < len(os.sched_getaffinity(0)) else 0


def _folders(cgroups: Path, own_cgroups: Path) -> Iterator[Path]:
    """The group of this process and all above it, of both versions; in a container its group may look like the root."""
    try:
        lines = own_cgroups.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = cgroups / controllers if controllers else cgroups
        own = root / name.lstrip("/")
        yield own
        yield from (folder for folder in own.parents if folder.is_relative_to(root))


def _quota(folder: Path) -> float | None:
    """CPUs that a group may use; None where it says nothing, or as many as it likes."""
    try:
        if (unified := folder / "cpu.max").exists():
            quota, period = unified.read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        return float(quota) / float(period) if float(quota) > 0 else None
    except (OSError, ValueError):  # no such file, or "max"
        return None
