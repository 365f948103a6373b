"""This module watches the layers of every served version, in a thread of its own.

It opens the graph that observes once the version answers, finds how many runs may be observed, and from then on adds up
what they told. Nothing of it is in a request's way; what can't be observed is served all the same.
"""

from __future__ import annotations

import logging
import threading
import time
from functools import reduce
from queue import Empty, SimpleQueue

from models.bundle import Bundle
from models.errors import ModelsError
from service.errors import ServiceError
from service.inference.devices import Device
from service.inference.served_model import ServedModel
from service.normalization.alarms import Alarms
from service.normalization.judgement import Judge
from service.normalization.monitor import Monitor
from service.normalization.opening import Closed, ObservingRules, open_monitor
from service.normalization.seen import ClosedWindow, Seen
from service.normalization.shared_sights import SharedSights

GATHER_S = 0.25
"""How long what was told waits for more to be added up with it: one sum of many rows is cheaper than many sums."""

LOOK_S = 1.0
"""How often windows are looked at that are to be closed by time."""

log = logging.getLogger(__name__)


class Watcher:
    """Watches served versions; has to be closed.

    Args:
        rules: How.
        device: Where the graphs that observe run: where the others do.
        record: Told of every window that was closed, from any thread.
        shared: Where processes of one service show one another what they saw; None where there is one.
    """

    def __init__(
        self, rules: ObservingRules, device: Device, record: Closed, shared: SharedSights | None = None
    ) -> None:
        self.rules = rules
        self._device = device
        self._record = record
        self._shared = shared
        self._to_open: SimpleQueue[tuple[ServedModel, Bundle]] = SimpleQueue()
        self._watched: dict[ServedModel, Monitor] = {}
        self._reasons: dict[ServedModel, str] = {}
        self._alarms = Alarms()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        """Begin to open what was followed; to be called once."""
        self._thread.start()

    def follow(self, served: ServedModel, bundle: Bundle) -> None:
        """Watch a version until it is closed; any thread may call."""
        self._to_open.put((served, bundle))
        self._wake.set()

    def judge(self, served: ServedModel) -> Judge | None:
        """What judges a version's windows; None where it is not observed."""
        monitor = self._monitor(served)
        return None if monitor is None else monitor.judge

    def seen(self, served: ServedModel) -> Seen | None:
        """What was seen of a version, by this process up to now; None where it is not observed.

        What other processes saw is in it as they showed it last.
        """
        monitor = self._monitor(served)
        if monitor is None:
            return None
        self._obey_reset(served, monitor)
        monitor.settle(time.time())
        others = () if self._shared is None else self._shared.others(_version(served))
        return reduce(Seen.merge, others, monitor.seen())

    def reason(self, served: ServedModel) -> str | None:
        """Why a version is not observed; None where it is."""
        with self._lock:
            monitor = self._watched.get(served)
            if monitor is not None:
                return None if monitor.share else "the graph that observes failed where the other did not; see the log"
            return self._reasons.get(served, "the graph that observes is being opened")

    def reset(self, served: ServedModel) -> None:
        """Forget what was seen of a version, in every process; nothing where it is not observed."""
        monitor = self._monitor(served)
        if monitor is None:
            return
        if self._shared is None:
            monitor.reset()
        else:
            self._shared.reset(_version(served))
            self._obey_reset(served, monitor)

    def close(self) -> None:
        """Close all windows as they are, and end; blocks until that is done."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        for monitor in self._settle():
            monitor.flush()

    def _monitor(self, served: ServedModel) -> Monitor | None:
        with self._lock:
            return self._watched.get(served)

    def _settle(self) -> list[Monitor]:
        """Add up what was told of every version; all their monitors."""
        with self._lock:
            monitors = list(self._watched.values())
        for monitor in monitors:
            monitor.settle(time.time())
        return monitors

    def _run(self) -> None:
        while not self._closing.is_set():
            if self._wake.wait(LOOK_S):
                self._closing.wait(GATHER_S)
                self._wake.clear()
            try:
                self._open_what_came()
                self._let_go_of_closed()
                self._settle()
                self._show()
            except Exception:  # a mistake, or a full disk, may end what a turn does, not the watcher
                log.exception("what layers see could not be added up, or not be shown to other workers")
                self._closing.wait(LOOK_S)

    def _show(self) -> None:
        """Let other processes see what this one saw."""
        if self._shared is None:
            return
        with self._lock:
            watched = list(self._watched.items())
        for served, monitor in watched:
            self._obey_reset(served, monitor)
        self._shared.show({_version(served): (monitor.seen(), monitor.stamp) for served, monitor in watched})

    def _obey_reset(self, served: ServedModel, monitor: Monitor) -> None:
        """Forget what was seen of a version, if a process was asked to since."""
        if self._shared is None:
            return
        stamp = self._shared.stamp(_version(served))
        if stamp != monitor.stamp:
            monitor.reset()
            monitor.stamp = stamp

    def _open_what_came(self) -> None:
        while not self._closing.is_set():
            try:
                served, bundle = self._to_open.get_nowait()
            except Empty:
                return
            try:
                reason = self._open(served, bundle)
            except (ServiceError, ModelsError) as error:
                reason = str(error)
                log.error("model %s version %s is not observed: %s", served.name, served.version, reason)
            except Exception:  # whatever it is, others are to be watched
                reason = "the graph that observes could not be opened; the log says why"
                log.exception("model %s version %s is not observed", served.name, served.version)
            if reason is not None:
                with self._lock:
                    self._reasons[served] = reason

    def _open(self, served: ServedModel, bundle: Bundle) -> str | None:
        """Have a version observed, or say why it is not."""
        opened = open_monitor(served, bundle, self.rules, self._device, closed=self._closed, wake=self._wake.set)
        if isinstance(opened, str):
            return opened
        with self._lock:
            self._watched[served] = opened
        return None

    def _closed(self, served: ServedModel, judge: Judge, window: ClosedWindow) -> None:
        self._alarms.tell(served, window)
        self._record(served, judge, window)

    def _let_go_of_closed(self) -> None:
        with self._lock:
            gone = [(served, monitor) for served, monitor in self._watched.items() if served.closed]
            for served in [served for served in (*self._watched, *self._reasons) if served.closed]:
                self._watched.pop(served, None)
                self._reasons.pop(served, None)
        for _, monitor in gone:
            monitor.settle(time.time())
            monitor.flush()


def _version(served: ServedModel) -> tuple[str, str]:
    return served.name, served.version
