"""The detector's service: the bus in, alerts and metrics out, and a baseline learnt when there is none."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from detector.alert import Alert
from detector.config import DetectorConfig
from detector.engine import Engine, Knowledge
from detector.learn import Lesson
from detector.metrics import Metrics
from detector.setup import load_knowledge, load_rules, save_baseline
from nigrani.service.errors import Problem
from nigrani.service.key import state_folder
from nigrani.stream.codec import decode
from nigrani.stream.event import Event

if TYPE_CHECKING:
    from nigrani.stream.bus import Reader

POLL = 16
"""Records of the bus read at once."""

log = logging.getLogger(__name__)


class Service:
    """One detector on one bus."""

    def __init__(self, config: DetectorConfig, reader: Reader, tell: Callable[[Alert], None] | None = None) -> None:
        """tell: called with each alert, beside the file and the metrics. Raises Problem or BadConfig."""
        self.baseline_path = config.baseline.path or state_folder() / "baseline.npz"
        self.alerts = 0
        self.totals: Counter[type] = Counter()
        self._counted: Counter[type] = Counter()
        self.refused = 0
        self.failed = 0
        self.learnt: dict[str, int] = {}
        self._config = config
        self._reader = reader
        self._tell = tell
        self._missed = 0
        self._since = 0.0
        rules = load_rules(config.rules)
        knowledge = None
        if self.baseline_path.exists():
            knowledge = load_knowledge(self.baseline_path, config.baseline.trusted)
        self.engine = Engine(rules, self._alert, knowledge, config.alerts.false_alarms_per_week)
        self.metrics = Metrics(rules, self.engine.counters, self.engine.windows)
        self._lesson = Lesson() if knowledge is None and config.baseline.learn_minutes else None
        self.metrics.learning.set(self._lesson is not None)
        path = config.alerts.path or state_folder() / "alerts.ndjson"
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = path.open("ab")
        except OSError as error:
            raise Problem(f"alerts.path {path}: {error.strerror or error}") from None

    @property
    def missed(self) -> int:
        """Events dropped from the bus before they were read."""
        return self._reader.missed_events

    @property
    def learning(self) -> bool:
        """Whether the baseline is still being learnt."""
        return self._lesson is not None

    def step(self, timeout: float = 0.0) -> int:
        """Read what the bus has, at most 16 records; returns how many events that was."""
        batches = self._reader.poll(POLL, timeout)
        count = 0
        for batch in batches:
            for line in batch.lines.splitlines():
                count += self._line(line)
        if batches:
            if not self.learning:  # a restart in the middle of a lesson begins it again
                self._reader.commit(self._reader.position)
            self._publish()
        return count

    def lag(self) -> int:
        """Events on the bus that are not read yet."""
        return self._reader.lag()[1]

    def finish(self) -> None:
        """The input is over: judge what is open."""
        self.engine.close()
        self._publish()

    def close(self) -> None:
        """Leave."""
        self.finish()
        self._file.close()
        self._reader.close()

    def _line(self, line: bytes) -> int:
        try:
            event = decode(line)
        except ValueError as error:
            self.refused += 1
            self.metrics.refused.inc()
            if self.refused == 1:
                log.warning("a line on the bus is no event: %s", error)
            return 0
        self.totals[type(event)] += 1
        try:
            self._feed(event)
        except Exception:  # one event that was not foreseen must not end the service
            self.failed += 1
            self.metrics.failed.inc()
            if self.failed == 1:
                log.exception("an event could not be judged: %s", event.id)
        return 1

    def _feed(self, event: Event) -> None:
        self.engine.feed(event)
        if self._lesson is None:
            return
        self._lesson.add(event)
        self._since = self._since or self.engine.windows.now
        long_enough = self.engine.windows.now - self._since >= self._config.baseline.learn_minutes * 60
        if long_enough or self._lesson.dropped:
            self._learn(self._lesson)

    def _learn(self, lesson: Lesson) -> None:
        """The lesson is over: make the baseline, keep it, judge by it."""
        try:
            baseline = lesson.baseline()
            knowledge = Knowledge.of(baseline)
        except ValueError as error:
            log.warning("nothing learnt yet: %s", error)
            self._lesson = Lesson()
            self._since = 0.0
            return
        try:
            save_baseline(baseline, self.baseline_path)
        except Problem as problem:  # judged by it all the same; a restart will learn anew
            log.warning("the baseline is not kept: %s", problem)
        self.engine.learn(knowledge)
        self.learnt = dict(baseline.header["counts"])
        self._lesson = None
        self.metrics.learning.set(0)
        log.info("baseline learnt from %(events)d events of %(devices)d devices", self.learnt)

    def _alert(self, alert: Alert) -> None:
        self.alerts += 1
        self.metrics.alert(alert)
        try:
            self._file.write(msgspec.json.encode(alert.ocsf()) + b"\n")
            self._file.flush()
        except OSError as error:
            self.metrics.unwritten.inc()
            log.error("alert %s was not written: %s", alert.id, error)  # noqa: TRY400 - one line says it
        if self._tell is not None:
            self._tell(alert)

    def _publish(self) -> None:
        """Bring the metrics up to date."""
        for kind, count in self.totals.items():
            self.metrics.event(kind, count - self._counted[kind])
        self._counted = self.totals.copy()
        self.metrics.reached.set(self.engine.windows.now)
        self.metrics.lag.set(self.lag())
        self.metrics.missed.inc(self.missed - self._missed)
        self._missed = self.missed
