"""The detector's service: the bus in, alerts and metrics out, and a baseline learnt when there is none.

Each partition of the bus has a state of its own, kept from time to time together with the offset that it stands at. A
detector that ends, however it ends, loses nothing: whoever has the partition next begins at that offset with that state,
finds what was found, and tells of what was not told yet.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from detector.alert import Alert
from detector.checkpoint import Checkpoint
from detector.config import DetectorConfig
from detector.counters import Counters
from detector.engine import Engine, Knowledge
from detector.learn import Lesson
from detector.metrics import Metrics
from detector.reach import Reach
from detector.rule_watch import RuleWatch
from detector.setup import load_knowledge, load_rules, rule_folders, save_baseline
from detector.share import Share
from nigrani.service.errors import Problem
from nigrani.service.key import state_folder
from nigrani.service.plural import plural
from nigrani.stream.codec import decode
from nigrani.stream.event import Event

if TYPE_CHECKING:
    from detector.checkpoint import Checkpoints
    from detector.outbox import Outbox
    from detector.ruleset import RuleSet
    from nigrani.stream.feed import Delivery, Feed

FRESH = 1.0
"""Seconds after which metrics are brought up to date though nothing came."""

log = logging.getLogger(__name__)


class Service:
    """One detector on one bus: the `Owner` of the partitions that its feed is given."""

    def __init__(
        self,
        config: DetectorConfig,
        feed: Feed,
        checkpoints: Checkpoints,
        outbox: Outbox,
        tell: Callable[[Alert], None] | None = None,
    ) -> None:
        """tell: called with each alert, beside the outbox and the metrics. Raises Problem or BadConfig."""
        self.baseline_path = config.baseline.path or state_folder() / "baseline.npz"
        self.alerts = 0
        self.totals: Counter[type] = Counter()
        self.refused = 0
        self.failed = 0
        self.repeats = 0
        """Events that were here before."""
        self.learnt: dict[str, int] = {}
        self.counters = Counters()
        self.shares: dict[int, Share] = {}
        self._config = config
        self._feed = feed
        self._checkpoints = checkpoints
        self._outbox = outbox
        self._tell = tell
        self._lock = threading.RLock()
        """Held while a state is changed or given away: the feed may take partitions from another thread."""
        self._counted: Counter[type] = Counter()
        self._missed = 0
        self._dropped = 0
        self._published = 0.0
        self._since = 0.0
        self._unkept = False
        self._rules = load_rules(config.rules)
        self._watch = RuleWatch(rule_folders(config.rules), self._rules, config.rule_files.seconds)
        self._knowledge: Knowledge | None = None
        if self.baseline_path.exists():
            self._knowledge = load_knowledge(self.baseline_path, config.baseline.trusted)
        self.reach = Reach()
        self.metrics = Metrics(self._rules, self.counters)
        self.metrics.registry.register(self.reach)
        self.metrics.baseline.budget = config.alerts.false_alarms_per_week
        self.metrics.baseline.knowledge = self._knowledge
        self._lesson = Lesson() if self._knowledge is None and config.learns else None
        self.metrics.learning.set(self._lesson is not None)
        try:
            feed.start(self)
        except OSError as error:
            raise Problem(str(error)) from None

    @property
    def missed(self) -> int:
        """Events dropped from the bus before they were read."""
        return self._feed.missed

    @property
    def learning(self) -> bool:
        """Whether the baseline is still being learnt."""
        return self._lesson is not None

    @property
    def knows(self) -> bool:
        """Whether there is a baseline."""
        return self._knowledge is not None

    @property
    def rules(self) -> RuleSet:
        """The rules in force."""
        return self._rules

    @property
    def model(self) -> str:
        """The baseline's fingerprint; empty without one."""
        return self._knowledge.fingerprint if self._knowledge is not None else ""

    @property
    def now(self) -> float:
        """The time that the slowest partition has reached, seconds since the epoch."""
        return min((share.engine.windows.now for share in self.shares.values()), default=0.0)

    def watch_rules(self) -> None:
        """Load rule files when they change, from now on."""
        self._watch.start()

    def load_rules(self) -> None:
        """Load the rule files now; needs `watch_rules`."""
        self._watch.ask()

    def begin(self, partition: int) -> int | None:
        """See `Owner`. Raises OSError where the checkpoint or the alerts told since cannot be read."""
        checkpoint = self._checkpoints.take(partition)
        told = self._outbox.since(partition, checkpoint.told if checkpoint else 0)
        share = self._share(partition, told)
        if checkpoint is not None:
            try:
                share.resume(checkpoint.state)
            except ValueError as error:
                log.warning("partition %d: %s; windows and counts begin anew", partition, error)
                share = self._share(partition, told)
            share.next = share.kept = checkpoint.next
        with self._lock:
            if share.rules is not self._rules:  # others came into force meanwhile
                share.use(self._rules)
            self.shares[partition] = share
        self.metrics.moved("begun", len(self.shares))
        return checkpoint.next if checkpoint else None

    def end(self, partition: int) -> None:
        """See `Owner`."""
        with self._lock:
            share = self.shares.pop(partition, None)
            if share is not None:
                self._keep(share)
                self._checkpoints.give(partition)
                self.metrics.moved("ended", len(self.shares))

    def lost(self, partition: int) -> None:
        """See `Owner`."""
        with self._lock:
            if self.shares.pop(partition, None) is not None:
                self._checkpoints.give(partition)
                self.metrics.moved("lost", len(self.shares))

    def step(self, timeout: float = 0.0) -> int:
        """Read what the bus has now; returns how many events that was."""
        self._take_rules()
        deliveries = self._feed.poll(timeout)
        count = 0
        for delivery in deliveries:
            with self._lock:
                count += self._take(delivery)
        self._keep_due()
        if deliveries or time.monotonic() - self._published >= FRESH:
            self._publish()
        return count

    def lag(self) -> int:
        """Events on the bus that are not read yet."""
        return self._feed.lag()

    def finish(self) -> None:
        """The input is over: judge what is open."""
        with self._lock:
            for share in self.shares.values():
                share.engine.close()
                share.kept = None
        self._publish()

    def close(self) -> None:
        """Keep every state and leave: what is open stays open for the next start."""
        self._watch.close()
        self._feed.close()
        self._publish()
        self._outbox.close()
        self._checkpoints.close()

    def _take_rules(self) -> None:
        """Put rules that were loaded aside into force; where they have faults, those in force stay."""
        outcome = self._watch.taken()
        if outcome is None:
            return
        if outcome.rules is None:
            self.metrics.rules_refused()
            for fault in outcome.faults:
                log.error("rules are not loaded: %s", fault)
            told = plural(len(outcome.faults), "fault"), plural(len(self._rules.rules), "rule")
            log.error("%s in rule files: the %s before stay", *told)
            return
        for warning in outcome.rules.warnings:
            log.warning("rules: %s", warning)
        with self._lock:
            self._rules = outcome.rules
            for share in self.shares.values():
                share.use(outcome.rules)
        self.metrics.use(outcome.rules)
        log.info("%d rules loaded in %.2f s: %s", len(outcome.rules.rules), outcome.seconds, outcome.rules.fingerprint[:12])

    def _share(self, partition: int, told: Collection[str]) -> Share:
        rules = self._rules
        engine = Engine(
            rules.empty(),
            partial(self._alert, partition),
            self._knowledge,
            self._config.alerts.false_alarms_per_week,
            self.counters,
            told,
            self._config.devices,
        )
        return Share(partition, engine, rules)

    def _take(self, delivery: Delivery) -> int:
        """Judge the events of a delivery, unless the partition was taken from us after it was polled."""
        share = self.shares.get(delivery.partition)
        if share is None:
            return 0
        began = time.perf_counter()
        count = sum(self._line(share, line) for line in delivery.lines)
        self.reach.settle(time.time(), time.perf_counter() - began)
        share.next = delivery.next
        return count

    def _line(self, share: Share, line: bytes) -> int:
        try:
            event = decode(line)
        except ValueError as error:
            self.refused += 1
            self.metrics.refused.inc()
            if self.refused == 1:
                log.warning("a line on the bus is no event: %s", error)
            return 0
        if share.repeated(event):
            self.repeats += 1
            self.metrics.repeated.inc()
            return 1
        self.totals[type(event)] += 1
        try:
            self.reach.last[type(event)] = event
            share.engine.feed(event)
            if self._lesson is not None:
                self._learn_from(event, share)
        except Exception:  # one event that was not foreseen must not end the service
            self.failed += 1
            self.metrics.failed.inc()
            if self.failed == 1:
                log.exception("an event could not be judged: %s", event.id)
        return 1

    def _learn_from(self, event: Event, share: Share) -> None:
        lesson = self._lesson
        if lesson is None:
            return
        lesson.add(event)
        now = share.engine.windows.now
        self._since = self._since or now
        self.metrics.baseline.progress = min(max(now - self._since, 0.0) / (self._config.baseline.learn_minutes * 60), 1.0)
        if now - self._since >= self._config.baseline.learn_minutes * 60 or lesson.dropped:
            self._learn(lesson)

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
        self._knowledge = knowledge
        for share in self.shares.values():
            share.engine.learn(knowledge)
        self.learnt = dict(baseline.header["counts"])
        self._lesson = None
        self.metrics.learning.set(0)
        self.metrics.baseline.knowledge = knowledge
        log.info("baseline learnt from %(events)d events of %(devices)d devices", self.learnt)

    def _alert(self, partition: int, alert: Alert) -> None:
        self.alerts += 1
        finding = alert.ocsf()
        finding["metadata"]["logged_time"] = int(time.time() * 1000)  # by which the time to report counts
        self._outbox.put(partition, alert.id, msgspec.json.encode(finding))
        self.metrics.alert(alert)
        if self._tell is not None:
            self._tell(alert)

    def _keep_due(self) -> None:
        """Keep the states whose time has come."""
        due = time.monotonic() - self._config.checkpoints.seconds
        for share in list(self.shares.values()):
            if share.kept_at <= due:
                with self._lock:
                    if self.shares.get(share.partition) is share:
                        self._keep(share)

    def _keep(self, share: Share) -> None:
        """Keep a state, once every alert that it led to is in the outbox's log."""
        if self.learning:  # a restart in the middle of a lesson begins it again
            return
        share.kept_at = time.monotonic()
        if share.next is None or (share.next == share.kept and not self._outbox.pending):
            return
        try:
            self._outbox.flush()
            told = self._outbox.position(share.partition)
            self._checkpoints.keep(share.partition, Checkpoint(share.next, told, share.state()))
        except OSError as error:
            self.metrics.kept("failed")
            if not self._unkept:
                log.error("states cannot be kept: %s; a restart would begin further back", error)  # noqa: TRY400 - one line
            self._unkept = True
            return
        self.metrics.kept("kept")
        if self._unkept:
            log.warning("states are kept again")
            self._unkept = False
        share.kept = share.next
        self._feed.done(share.partition, share.next)

    def _publish(self) -> None:
        """Bring the metrics up to date."""
        self._published = time.monotonic()
        self.metrics.trouble(self._feed.trouble)
        for kind, count in self.totals.items():
            self.metrics.event(kind, count - self._counted[kind])
        self._counted = self.totals.copy()
        shares = list(self.shares.values())
        if shares:
            self.metrics.reached.set(self.now)
        self.metrics.open_windows.set(sum(share.engine.windows.count for share in shares))
        self.metrics.agents.set(sum(len(share.engine.silence.state()) for share in shares))
        self.metrics.lag.set(self.lag())
        self.metrics.missed.inc(self.missed - self._missed)
        self._missed = self.missed
        self.metrics.pending.set(self._outbox.pending)
        self.metrics.unwritten.inc(self._outbox.dropped - self._dropped)
        self._dropped = self._outbox.dropped
        now = time.monotonic()
        ages = [now - share.kept_at for share in shares if share.next != share.kept]
        self.metrics.unkept.set(max(ages, default=0.0))
