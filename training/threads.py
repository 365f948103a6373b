"""This module says how many threads torch may have, and what they do while they wait, before torch is imported.

torch takes a thread a core of the machine. In a container that may use two of sixty-four the kernel stops as many
threads for most of every period, and a fit takes many times as long. ONNX Runtime is told by ``folding/references.py``.
"""

from __future__ import annotations

from collections.abc import MutableMapping

from models.cpus import quota_threads


def choose_threads(environment: MutableMapping[str, str], *, quota: int | None = None) -> None:
    """Set what a process that imports torch is to know; what is set already stays.

    Args:
        environment: The variables of the process.
        quota: Threads that the container's quota allows, 0 where there is none; found out if it is not given.
    """
    # By default the threads of OpenMP spin while they wait for each other. Where something else wants the same cores a
    # fit takes several times as long for it; the weights are the same.
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if threads := quota_threads() if quota is None else quota:
        environment.setdefault("OMP_NUM_THREADS", str(threads))
