"""Events in, alerts out: rules at once, anomalies when a device's minute is over.

Time is the events' own, so that a replay gives the same alerts as the live run, and the same every time; only that an agent
is silent is told live alone (see `silence`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from time import perf_counter
from typing import NamedTuple

import numpy as np
from msgspec import Struct, field

from detector.alert import Alert, Reason, alert_id
from detector.baseline import Baseline, BaselineError
from detector.beside import NAMES_NONE, Beside
from detector.calibration import budget_p
from detector.config import Devices
from detector.correlation import CorrelationState
from detector.counters import Counters
from detector.device_learner import DeviceClasses
from detector.features import (
    EVIDENCE,
    FLOW_FEATURES,
    UNITS,
    WINDOW,
    WINDOW_FEATURES,
    Window,
    flow_matrix,
    flow_row,
    window_matrix,
)
from detector.flows import add_evidence
from detector.gate import Gate, Passed
from detector.model import Ensemble, Floats
from detector.response import RESPONSES, SILENT, WEAK, leading
from detector.risk import Risk
from detector.rule import Hit
from detector.ruleset import RuleSet
from detector.seen import Seen
from detector.silence import PATIENCE, Heard, Silence, Silent
from detector.usual import Usual
from detector.windows import ClockState, Windows
from detector.words import about, in_words
from nigrani.stream.event import Event
from nigrani.stream.events import AgentStatus, NetworkFlow

BATCH = 512
"""Flow records scored together."""
EPISODE = 3600
"""Seconds within which one kind of finding about one device is one alert."""
MERGE = 600
"""Seconds around a rule's alert in which an anomaly of the same device is more evidence, not another alert."""
MAX_ALERTS = 100_000
"""Episodes remembered; beyond it the oldest are forgotten, counted."""
REMEMBER = 86_400
"""Seconds for which they are remembered at least: an agent's events may come that much after the others'."""
MAX_DEVICES = 65_536
"""Devices whose zone is remembered."""
TOP = 4
"""Reasons shown."""
LEAST_SHARE = 0.05
MINIMUM_LEVELS = frozenset({"medium", "high", "critical"})
"""Levels of rules that alert alone; the others' risk adds up on the device."""
SAMPLE = 64
"""The rules' time is taken of one event in so many."""


class State(Struct):
    """All that an engine knows of the stream, as it is kept."""

    clocks: dict[str, ClockState]
    batch: list[tuple[tuple[bool | float, ...], str, int, str]]
    """Flow records not yet scored: row, agent, start of the window and device."""
    episodes: dict[str, float]
    alerted: dict[str, float]
    zones: dict[str, str]
    risk: dict[str, list[tuple[str, float]]]
    correlations: dict[str, CorrelationState]
    passed: list[Passed] = field(default_factory=list)
    heard: dict[str, Heard] = field(default_factory=dict)


class Knowledge(NamedTuple):
    """A baseline, ready to be used."""

    seen: Seen
    habits: Usual
    flows: Ensemble | None
    fingerprint: str
    minutes_per_week: float
    classes: DeviceClasses | None
    """None where the baseline is of a version that learnt none."""
    until: float = 0.0
    """End of the time learnt from, seconds since the epoch."""

    @classmethod
    def of(cls, baseline: Baseline) -> Knowledge:
        """Raises BaselineError where the baseline's parts do not hold together."""
        try:
            flow, classes = baseline.section("flow"), baseline.section("classes")
            return cls(
                Seen.from_arrays(baseline.section("seen")),
                Usual.from_arrays(baseline.section("habits")),
                Ensemble.from_arrays(flow, len(FLOW_FEATURES)) if flow else None,
                fingerprint(baseline),
                _positive(baseline.header["config"]["minutes_per_week"]),
                DeviceClasses.from_arrays(classes) if classes else None,
                datetime.fromisoformat(baseline.header["window"][1]).timestamp(),
            )
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise BaselineError(f"the baseline does not hold together: {error}") from None


def _positive(value: object) -> float:
    if not isinstance(value, int) or value < 1:
        raise ValueError("minutes_per_week must be a whole number above 0")
    return float(value)


def fingerprint(baseline: Baseline) -> str:
    """Names the baseline in the alerts that it led to: twelve hexadecimal digits of its content's SHA-256."""
    digest = hashlib.sha256(json.dumps(baseline.header, sort_keys=True).encode())
    for name in sorted(baseline.arrays):
        digest.update(name.encode() + np.ascontiguousarray(baseline.arrays[name]).tobytes())
    return digest.hexdigest()[:12]


def _amount(logarithm: float, feature: int) -> float:
    """A feature's value back from its logarithm; what is counted is whole."""
    value = float(np.expm1(logarithm)) * float(UNITS[feature])
    return value if feature == EVIDENCE else float(round(value))


class Engine:
    """One detector's judgement. `alert` is called with each new alert, in the order of time."""

    def __init__(
        self,
        rules: RuleSet,
        alert: Callable[[Alert], None],
        knowledge: Knowledge | None = None,
        budget: float = 7.0,
        counters: Counters | None = None,
        told: Collection[str] = (),
        devices: Devices = NAMES_NONE,
    ) -> None:
        """budget: false alarms a week that anomalies may raise, all devices together. counters: shared with others'.

        told: ids of alerts that were raised before a restart; what is found of them again is not raised again.
        devices: the classes that the site names.
        """
        self.rules = rules
        self.counters = counters if counters is not None else Counters()
        self.windows = Windows(self.counters)
        self._alert = alert
        self._knowledge = knowledge
        self._beside = Beside(knowledge, devices)
        self._budget = budget
        self._batch: list[tuple[tuple[float, ...], Window, str]] = []
        self._episodes: dict[str, float] = {}
        self._alerted: dict[str, float] = {}
        self._zones: dict[str, str] = {}
        self._risk = Risk()
        self._gate = Gate(self.counters)
        self.silence = Silence(self.counters)
        self._pruned = 0.0
        self._told = frozenset(told)

    def learn(self, knowledge: Knowledge) -> None:
        """Judge by this baseline from now on."""
        self._knowledge = self._beside.knowledge = knowledge

    def use(self, rules: RuleSet) -> None:
        """Judge by these rules from now on; their correlations go on where the same ones were."""
        rules.adopt(self.rules)
        self.rules = rules

    def state(self) -> State:
        """What must be kept to go on later, as if there had been no break."""
        return State(
            clocks=self.windows.state(),
            batch=[(row, agent, window.start, window.device) for row, window, agent in self._batch],
            episodes=self._episodes,
            alerted=self._alerted,
            zones=self._zones,
            risk=self._risk.state(),
            correlations=self.rules.state(),
            passed=self._gate.state(),
            heard=self.silence.state(),
        )

    def resume(self, state: State) -> None:
        """Go on with what was kept. Raises ValueError where its parts do not hold together."""
        self.windows.resume(state.clocks)
        self._batch = [
            (row, self._window(agent, start, device), agent)
            for row, agent, start, device in state.batch
            if len(row) == len(FLOW_FEATURES)
        ]
        self._episodes, self._alerted, self._zones = state.episodes, state.alerted, state.zones
        self._risk.resume(state.risk, {rule.id: rule for rule in self.rules.rules})
        self.rules.resume(state.correlations)
        self._gate.resume(state.passed)
        self.silence.resume(state.heard)

    def _window(self, agent: str, start: int, device: str) -> Window:
        clock = self.windows.clocks.get(agent) or self.windows.clocks.get("")
        window = clock.open.get((start, device)) if clock else None
        if window is None:
            raise ValueError("a flow record is kept whose window is not")
        return window

    @property
    def knows(self) -> bool:
        """Whether there is a baseline."""
        return self._knowledge is not None

    def feed(self, event: Event) -> None:
        """Take the next event."""
        self.counters.events += 1
        when = event.timestamp.timestamp()
        window = self.windows.at(event.agent, event.host, when)
        knowledge = self._knowledge
        new = self._beside.show(event)
        if window is not None:
            window.add(event, new)
            if type(event) is NetworkFlow:
                if event.host == event.source and (event.host in self._zones or len(self._zones) < MAX_DEVICES):
                    self._zones[event.host] = event.source_zone
                if knowledge is not None:
                    self._batch.append((flow_row(event, new), window, event.agent))
                    if len(self._batch) >= BATCH:
                        self._score()
        timed = not self.counters.events % SAMPLE
        for hit in self._timed(event) if timed else self.rules.match(event, self._beside):
            told = hit.event or event
            if not (hit.rule.held and self._gate.holds(hit, told)):
                self._rule(hit, window if told is event else None, told)
        if type(event) is AgentStatus:
            self._heard(event)
        if self.windows.due(event.agent):
            self._score()
            self._close(self.windows.close(event.agent))

    def _timed(self, event: Event) -> Sequence[Hit]:
        """What the rules say, and note how long they took."""
        began = perf_counter()
        hits = self.rules.match(event, self._beside)
        self.counters.rule_seconds.add(perf_counter() - began)
        return hits

    def close(self) -> None:
        """The input is over: judge what is open."""
        self._score()
        self._close(self.windows.close_all())

    def _score(self) -> None:
        knowledge = self._knowledge
        batch, self._batch = self._batch, []
        if knowledge is not None and knowledge.flows is not None and batch:
            rows = flow_matrix([row for row, _, _ in batch])
            self.counters.shed += add_evidence(knowledge.flows, rows, [window for _, window, _ in batch])
            self.counters.flows_scored += len(rows)

    def _close(self, windows: Iterable[Window]) -> None:
        for window in windows:
            if self._knowledge is not None:
                self.counters.windows_judged += 1
                self._judge(window, self._knowledge)
        if self.windows.now - self._pruned > EPISODE:
            self._pruned = self.windows.now
            horizon = self._pruned - REMEMBER
            self._episodes = {key: start for key, start in self._episodes.items() if start > horizon}
            self._alerted = {device: when for device, when in self._alerted.items() if when > horizon}

    def _judge(self, window: Window, knowledge: Knowledge) -> None:
        row = window_matrix([window.row()])[0]
        p, shares = knowledge.habits.judge(window.device, row)
        self.counters.p_values.add(p)
        self.counters.windows_unknown += not knowledge.habits.of(window.device)[1]
        if p > budget_p(self._budget, knowledge.minutes_per_week):
            return
        self.counters.windows_beyond += 1
        reasons, lead = self._reasons(window.device, row, shares, knowledge)
        response = RESPONSES[lead]
        if response.merges and abs(window.start - self._alerted.get(window.device, -1e18)) < MERGE:
            self.counters.merged += 1
            return
        kind = f"anomaly-{response.slug}"
        when = datetime.fromtimestamp(window.start + WINDOW, UTC)
        self._raise(
            Alert(
                id="",
                kind=kind,
                slug=kind,
                title=response.title,
                severity="high" if p <= budget_p(self._budget, knowledge.minutes_per_week) / 100 else "medium",
                device=window.device,
                when=when,
                first=datetime.fromtimestamp(window.start, UTC),
                source="anomaly",
                description="The device's minute is further from its habits than the site's budget of false alarms allows.",
                reasons=reasons,
                attack=list(response.attack),
                matrix=response.matrix,
                first_steps=list(response.first_steps),
                runbook=response.runbook,
                risk=min(100, round(-10 * float(np.log10(p)))),
                p_value=p,
                learnt=knowledge.habits.minutes,
                false_alarms_per_week=p * knowledge.minutes_per_week,
                budget=self._budget,
                events=window.events,
            )
        )

    def _rule(self, hit: Hit, window: Window | None, event: Event) -> None:
        rule = hit.rule
        if rule.level not in MINIMUM_LEVELS:
            self.counters.quiet_hits += 1
            self._weak(hit, event)
            return
        because = [hit.threshold] if hit.threshold else []
        because += [in_words(name, value) for name, value in hit.because]
        if hit.suppressed:
            because.append(f"{hit.suppressed} more like it did not alert since the last one that did")
        reasons: list[Reason] = []
        knowledge = self._knowledge
        if knowledge is not None and window is not None and window.device == hit.host:
            row = window_matrix([window.row()])[0]
            _, shares = knowledge.habits.judge(window.device, row)
            reasons, _ = self._reasons(window.device, row, shares, knowledge)
        told = self._raise(
            Alert(
                id="",
                kind=rule.id,
                slug=rule.path.stem,
                title=f"{rule.title}{rule.title_detail and f' {rule.title_detail}'}",
                severity=rule.level,
                device=hit.host,
                when=hit.when,
                first=hit.first,
                source="rule",
                description=rule.description,
                because=because,
                about=about(event),
                reasons=reasons,
                attack=list(rule.attack),
                atlas=list(rule.atlas),
                matrix=rule.matrix,
                false_positives=list(rule.false_positives),
                first_steps=list(rule.first_steps),
                runbook=rule.runbook,
                risk=rule.risk,
                events=list(hit.event_ids),
            ),
            hit,
        )
        if told:
            if len(self._alerted) >= MAX_ALERTS:
                self._alerted.pop(next(iter(self._alerted)))
            self._alerted[hit.host] = hit.when.timestamp()

    def _weak(self, hit: Hit, event: Event) -> None:
        """A rule that does not alert alone: its risk adds to the device's."""
        signs = self._risk.add(hit.host, hit.rule, hit.when.timestamp())
        if not signs:
            return
        self._raise(
            WEAK.alert(
                device=hit.host,
                when=hit.when,
                first=datetime.fromtimestamp(min(sign.when for sign in signs), UTC),
                source="rule",
                description="None of the signs alerts alone; together they are more than one device has within an hour.",
                because=[f"{sign.rule.title} (risk {sign.rule.risk})" for sign in signs],
                about=about(event),
                attack=sorted({uid for sign in signs for uid in sign.rule.attack}),
                atlas=sorted({uid for sign in signs for uid in sign.rule.atlas}),
                risk=min(100, sum(sign.rule.risk for sign in signs)),
                events=list(hit.event_ids),
            )
        )

    def _heard(self, event: AgentStatus) -> None:
        """An agent's report, by which others may be found to report no more."""
        for silent in self.silence.heard(event):
            self._silent(silent)

    def _silent(self, silent: Silent) -> None:
        since = datetime.fromtimestamp(silent.since, UTC)
        self._raise(
            SILENT.alert(
                device=silent.host,
                when=datetime.fromtimestamp(silent.since + PATIENCE, UTC),
                first=since,
                source="rule",
                description="Nobody sees what it would: it was stopped, cut off, or its host is down.",
                because=[
                    f"agent {silent.agent} reported last at {since:%Y-%m-%d %H:%M:%S} UTC",
                    f"others have reported for more than {PATIENCE // 60} minutes since",
                ],
                risk=50,
            )
        )

    def _reasons(self, device: str, row: Floats, shares: Floats, knowledge: Knowledge) -> tuple[list[Reason], int]:
        """The features that stand out, the most telling first, and which names the anomaly.

        That is what the device did, not that single flows of it were strange.
        """
        habits, own = knowledge.habits.of(device)
        order = np.argsort(-shares, kind="stable")
        reasons = []
        for feature in order[:TOP]:
            if shares[feature] < LEAST_SHARE:
                break
            index = int(feature)
            usual = habits.describe(index, float(row[index]))
            reasons.append(
                Reason(
                    feature=WINDOW_FEATURES[index].name,
                    value=_amount(row[index], index),
                    p50=_amount(usual.p50, index),
                    p99=_amount(usual.p99, index),
                    once_in=usual.once_in,
                    own=own,
                    minutes=habits.count,
                )
            )
        return reasons, leading(shares)

    def _raise(self, alert: Alert, hit: Hit | None = None) -> bool:
        """Send the alert on, unless its episode has been told; returns whether the episode is new.

        An episode is a device's hour, or, of a rule that says what it is suppressed by, a story within its time.
        """
        suppress = hit.rule.suppress if hit else None
        story = "\0".join(hit.story) if hit and suppress else alert.device
        window = int(alert.when.timestamp()) // (suppress.seconds if suppress else EPISODE)
        alert.id = alert_id(alert.kind, story, window)
        if alert.id in self._episodes:
            self.counters.repeated += 1
            return False
        if len(self._episodes) >= MAX_ALERTS:
            self._episodes.pop(next(iter(self._episodes)))
            self.counters.forgotten += 1
        self._episodes[alert.id] = alert.when.timestamp()
        if alert.id in self._told:
            self.counters.retold += 1
            return True
        alert.zone = self._zones.get(alert.device, "")
        alert.device_class = self._beside.class_of(alert.device, alert.zone)
        alert.model = self._knowledge.fingerprint if self._knowledge else ""
        self._alert(alert)
        return True
