"""What each of the detector's verbs sets up from its options and configuration."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from nigrani.service.data import data_folder
from nigrani.service.errors import BadConfig, Fault, Problem
from nigrani.service.key import state_folder
from nigrani.stream.codec import MAX_LINE, decode
from nigrani.stream.event import Event

if TYPE_CHECKING:
    from detector.alert import Alert
    from detector.baseline import Baseline
    from detector.cases.intake import Intake
    from detector.checkpoint import Checkpoints
    from detector.config import DetectorConfig
    from detector.engine import Knowledge
    from detector.outbox import Outbox
    from detector.page.server import PageServer
    from detector.ruleset import RuleSet
    from detector.service import Service
    from nigrani.stream.feed import Feed


log = logging.getLogger(__name__)


def rule_folders(folders: Sequence[str | Path] = ()) -> list[Path]:
    """Where the shipped rules are, and the site's."""
    return [data_folder("rules"), *map(Path, folders)]


def load_rules(folders: Sequence[str | Path] = ()) -> RuleSet:
    """The shipped rules and the site's. Raises BadConfig with every fault of every file."""
    from detector.rule import RuleFaults  # noqa: PLC0415 - pySigma is loaded only where rules are
    from detector.ruleset import RuleSet  # noqa: PLC0415 - as above

    try:
        return RuleSet.load(*rule_folders(folders))
    except RuleFaults as error:
        raise BadConfig(
            [Fault(str(fault.path), fault.line, fault.message, fault.remedy) for fault in error.faults]
        ) from None


def load_knowledge(path: Path, trusted: Sequence[str | Path] = ()) -> Knowledge:
    """The baseline of a file, checked. Raises Problem with one sentence where it must not be used."""
    from detector.baseline import BaselineError, load  # noqa: PLC0415 - numpy is loaded only where models are
    from detector.engine import Knowledge  # noqa: PLC0415 - as above
    from detector.learn import FEATURES  # noqa: PLC0415 - as above
    from detector.signing import Verifier, signing_key  # noqa: PLC0415 - as above

    try:
        signing_key(state_folder())
        verifier = Verifier([state_folder() / "baseline.pub", *map(Path, trusted)])
        baseline = load(path, verifier, FEATURES)
    except ValueError as error:
        raise Problem(str(error)) from None
    try:
        knowledge = Knowledge.of(baseline)
    except BaselineError as error:
        raise Problem(f"{path}: {error}") from None
    if knowledge.classes is None:
        log.warning("%s: learnt by a version without classes of devices: train anew, or name them under `devices`", path)
    return knowledge


def save_baseline(baseline: Baseline, path: Path) -> None:
    """Sign and write a baseline. Raises Problem."""
    from detector.baseline import save  # noqa: PLC0415 - numpy is loaded only where models are
    from detector.signing import signing_key  # noqa: PLC0415 - as above

    try:
        save(baseline, path, signing_key(state_folder()))
    except ValueError as error:
        raise Problem(str(error)) from None


def make_service(config: DetectorConfig, tell: Callable[[Alert], None] | None = None) -> Service:
    """The service on the bus that the configuration names. Raises Problem or BadConfig."""
    from detector.service import Service  # noqa: PLC0415 - numpy is loaded only where the service is

    try:
        feed, checkpoints, outbox = _on_kafka(config) if config.kafka.servers else _on_spool(config)
    except (OSError, ValueError) as error:
        raise Problem(str(error)) from None
    return Service(config, feed, checkpoints, outbox, tell)


def case_path(config: DetectorConfig) -> Path:
    """Where the case store is."""
    return config.cases.path or state_folder() / "cases.db"


def make_intake(config: DetectorConfig) -> Intake | None:
    """What fills the case store, not begun yet; None where another detector does."""
    if not config.has_cases:
        return None
    from detector.cases.intake import Intake  # noqa: PLC0415 - loaded only where it runs
    from detector.cases.store import Store  # noqa: PLC0415 - as above

    store = Store(case_path(config), retention_days=config.cases.retention_days, check=True, later=True)
    if config.kafka.servers:
        from detector.cases.logs.topic import TopicAlerts  # noqa: PLC0415 - kafka-python is loaded only where it is used
        from nigrani.stream.kafka.log import TopicLog  # noqa: PLC0415 - as above

        kafka = config.kafka
        return Intake(store, lambda place: TopicAlerts(TopicLog(kafka, kafka.alerts, name="nigrani-cases"), place))
    from detector.cases.logs.file import FileLog  # noqa: PLC0415 - as the others

    path = alerts_path(config)
    return Intake(store, lambda place: FileLog(path, place))


def start_cases(config: DetectorConfig, service: Service) -> Intake | None:
    """Fill the case store from now on, with its metrics among the service's; None where another detector does.

    To be closed after the service. A store that cannot be opened is told of, and tried again: nothing else waits for it.
    """
    intake = make_intake(config)
    if intake is not None:
        from detector.cases.metrics import CaseMetrics  # noqa: PLC0415 - as in make_intake

        service.metrics.registry.register(CaseMetrics(intake, lambda: service.metrics.kinds))
        intake.start()
    return intake


def start_page(config: DetectorConfig, service: Service, cases: Intake | None) -> PageServer | None:
    """Serve the page of the store that this detector fills, from a thread; None where it fills none, or shall not.

    To be closed before the intake. Whatever is wrong with its address, users or certificate is told and tried again.
    """
    if cases is None or not config.page.listen:
        return None
    from detector.page import health  # noqa: PLC0415 - loaded only where it is served
    from detector.page.desk import Desk, Site  # noqa: PLC0415 - as above
    from detector.page.metrics import PageMetrics  # noqa: PLC0415 - as above
    from detector.page.server import PageServer  # noqa: PLC0415 - as above

    site = Site(config.alerts.false_alarms_per_week, config.organisation)
    pulse = health.of(service, cases)
    page = PageServer(config.page, lambda: Desk(cases.store, config.page, pulse, site))
    service.metrics.registry.register(PageMetrics(page))
    return page


def alerts_path(config: DetectorConfig) -> Path:
    """Where alerts are logged, on the embedded bus."""
    return config.alerts.path or state_folder() / "alerts.ndjson"


def file_outbox(path: Path) -> Outbox:
    """Alerts as lines of a file. Raises Problem."""
    from detector.outboxes.file import FileOutbox  # noqa: PLC0415 - as the others

    try:
        return FileOutbox(path)
    except OSError as error:
        raise Problem(f"alerts.path {path}: {error.strerror or error}") from None


def _on_spool(config: DetectorConfig) -> tuple[Feed, Checkpoints, Outbox]:
    from detector.checkpoints.folder import FolderCheckpoints  # noqa: PLC0415 - as the others
    from nigrani.stream.feed import SpoolFeed  # noqa: PLC0415 - as the others
    from nigrani.stream.spool import SpoolReader  # noqa: PLC0415 - as the others

    outbox = file_outbox(alerts_path(config))
    reader = SpoolReader(config.bus.path or state_folder() / "bus", config.bus.group)
    checkpoints = FolderCheckpoints(config.checkpoints.path or state_folder() / "checkpoints", config.bus.group)
    return SpoolFeed(reader), checkpoints, outbox


def _on_kafka(config: DetectorConfig) -> tuple[Feed, Checkpoints, Outbox]:
    from detector.checkpoints.topic import MAX_BYTES, TopicCheckpoints  # noqa: PLC0415 - kafka-python is loaded only where it is used
    from detector.outboxes.tee import TeeOutbox  # noqa: PLC0415 - as above
    from detector.outboxes.topic import TopicOutbox  # noqa: PLC0415 - as above
    from nigrani.stream.kafka.consumer import GroupFeed  # noqa: PLC0415 - as above
    from nigrani.stream.kafka.log import TopicLog  # noqa: PLC0415 - as above

    kafka = config.kafka
    outbox: Outbox = TopicOutbox(TopicLog(kafka, kafka.alerts, name="nigrani-detector"))
    if config.alerts.path:
        outbox = TeeOutbox(outbox, file_outbox(config.alerts.path))
    state = TopicLog(kafka, kafka.state, name="nigrani-detector", max_bytes=MAX_BYTES)
    return GroupFeed(kafka), TopicCheckpoints(state, kafka.group), outbox


class EventFile:
    """NDJSON of events: a line that is no event is counted and told of once, and the rest is read."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self.lines = 0
        self.bad = 0
        self.first_fault = ""
        self.bytes = 0

    def __iter__(self) -> Iterator[Event]:
        readline = self._stream.readline
        while line := readline(MAX_LINE + 1):
            self.lines += 1
            self.bytes += len(line)
            if len(line) > MAX_LINE and not line.endswith(b"\n"):
                while rest := readline(MAX_LINE):
                    self.bytes += len(rest)
                    if rest.endswith(b"\n"):
                        break
                self._fault(f"longer than {MAX_LINE} bytes")
                continue
            try:
                event = decode(line)
            except ValueError as error:
                if line.strip():
                    self._fault(str(error))
                continue
            yield event

    def _fault(self, message: str) -> None:
        self.bad += 1
        if not self.first_fault:
            text = f"{self._name}:{self.lines}: no event: {message}"
            self.first_fault = "".join(letter if letter.isprintable() else " " for letter in text)

    def report(self) -> str:
        """One line on what could not be read; empty where all could."""
        if not self.bad:
            return ""
        return f"{self.first_fault} (skipped {self.bad} of {self.lines} lines)"
