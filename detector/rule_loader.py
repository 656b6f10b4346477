"""From folders of rule files to joined rules, with every fault of every file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import Any, cast

from sigma.correlations import SigmaCorrelationRule
from sigma.filters import SigmaFilter
from sigma.rule import SigmaLogSource, SigmaRule

from detector.condition import Conditions
from detector.rule import Fault, RefusedError
from detector.rule_cases import Outcome, outcomes
from detector.rule_correlation import correlation_refusals, counted_rules
from detector.rule_custom import day
from detector.rule_detection import PYSIGMA_ERRORS, detection_refusals, parse_condition, pysigma_fault
from detector.rule_field import PRODUCT, fields
from detector.rule_file import MAX_FAULTS, Document, documents, read_bytes, rule_files
from detector.rule_foreign import ForeignConditions, Logsource, foreign_logsource
from detector.rule_header import dataset_of, header_faults, header_warnings, rule_of
from detector.rule_join import Draft, Join, Parsed, threshold, unknown_rule
from detector.rule_override import overridden, override_refusals
from detector.rule_own import for_pysigma
from detector.rule_tree import Constants

MAX_FILES = 10_000
"""Rule files, of all folders together."""
KINDS = ("detection", "correlation", "filter", "override")
SOON = 14
"""Days before its last within which a rule is said to expire."""


class Loader:
    """Reads rule files once; everything it found is in its attributes."""

    def __init__(self, folders: Iterable[Path], *, today: date | None = None) -> None:
        """today: filters and overrides that expired before it are not in force."""
        self.today = today or datetime.now(UTC).date()
        self.constants = Constants()
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []
        self.outcomes: list[tuple[Draft, Outcome]] = []
        """What came of the rules' own tests."""
        self.overrides: list[Document] = []
        self.drafts: list[Draft] = []
        self.counted: set[str] = set()
        """Names of rules that alert only through what counts them."""
        self._conditions: dict[str, Conditions] = {}
        self._digest = hashlib.sha256()
        drafts = [draft for document in self._documents(folders) if (draft := self._draft(document))]
        self.drafts = self._unique(drafts)
        known = {name: draft for draft in self.drafts for name in draft.references}
        self._test(known)
        self._override(known)
        self._filter(known)
        self.join = Join(self.drafts, self.counted)
        self.rules = sorted(self.join.rules, key=lambda rule: rule.path)
        self.faults += self.join.faults
        self.warnings += self.join.warnings
        self._say_what_expires()
        self.faults.sort()
        self.warnings.sort()

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the names and contents of the files."""
        return self._digest.hexdigest()

    def _documents(self, folders: Iterable[Path]) -> Iterable[Document]:
        left = MAX_FILES
        for folder in folders:
            if not folder.exists():
                self.faults.append(Fault(folder, 0, "there is no such folder", "correct the path or create the folder"))
            files = rule_files(folder)
            if len(files) > left:
                self.faults.append(Fault(folder, 0, f"there are over {MAX_FILES} rule files", "join some, separated by ---"))
            for path in files[:left]:
                left -= 1
                try:
                    content = read_bytes(path)
                except OSError as error:
                    self.faults.append(Fault(path, 0, f"cannot be read: {error.strerror}", "correct its permissions"))
                    continue
                name = str(path.relative_to(folder)).encode(errors="surrogateescape")
                self._digest.update(b"%d:%b%d:%b" % (len(name), name, len(content), content))
                found, faults = documents(path, content)
                self.faults += faults
                yield from found

    def _draft(self, document: Document) -> Draft | None:
        """Read the document's own parts; None where it has faults, or is no rule of its own."""
        self.counted |= counted_rules(document.data)
        faults = header_faults(document, foreign=_foreign(document) is not None)
        self.warnings += header_warnings(document)
        kinds = [key for key in KINDS if key in document.data]
        if len(kinds) != 1:
            message = "a rule has one of detection, correlation, filter and override"
            faults.append(document.fault(message, "add it, or split with ---"))
        self.faults += faults
        if len(kinds) != 1 or not all(isinstance(document.data.get(key, {}), dict) for key in (kinds[0], "logsource")):
            return None
        match kinds[0]:
            case "correlation":
                return self._correlation_draft(document, sound=not faults)
            case "override":
                self._read_override(document, sound=not faults)
                return None
        return self._rule_draft(document, kinds[0], sound=not faults)

    def _correlation_draft(self, document: Document, *, sound: bool) -> Draft | None:
        """Read a correlation. sound: whether all else of the document is; what is wrong here is told either way."""
        correlation = cast("dict[str, Any]", document.data["correlation"])
        refusals = list(islice(correlation_refusals(correlation), MAX_FAULTS))
        self._refuse(document, refusals)
        parsed = self._parse(document, SigmaCorrelationRule) if sound and not refusals else None
        return Draft(document, rule_of(document, ()), parsed) if parsed else None

    def _rule_draft(self, document: Document, key: str, *, sound: bool) -> Draft | None:
        """Read a rule or a filter, whose detection is under that key. sound: as above."""
        data = cast("dict[str, Any]", document.data)
        foreign = _foreign(document)
        try:
            dataset = foreign.dataset if foreign is not None else dataset_of(data.get("logsource", {}))
        except RefusedError as error:
            self._refuse(document, [error])
            return None
        reads = self._reads(dataset, foreign)
        refusals = list(islice(detection_refusals(reads, data[key], key), MAX_FAULTS))
        self._refuse(document, refusals)
        self.warnings += [document.fault(message, remedy, key) for message, remedy in dict.fromkeys(reads.warnings)]
        reads.warnings.clear()
        if refusals or not sound:
            return None
        parsed = self._parse(document, SigmaRule if key == "detection" else SigmaFilter)
        if isinstance(parsed, SigmaRule | SigmaFilter):
            if foreign is None:
                parsed.logsource = SigmaLogSource(product=PRODUCT, service=data["logsource"]["service"])
            return Draft(document, rule_of(document, (dataset,) if dataset else ()), parsed, reads)
        return None

    def _read_override(self, document: Document, *, sound: bool) -> None:
        refusals = list(override_refusals(cast("dict[str, Any]", document.data["override"])))
        self._refuse(document, refusals)
        if sound and not refusals:
            self.overrides.append(document)

    def _refuse(self, document: Document, refusals: Iterable[RefusedError]) -> None:
        self.faults += [document.fault(error.message, error.remedy, *error.keys) for error in refusals]

    def _parse(self, document: Document, make: type[Parsed]) -> Parsed | None:
        try:
            parsed = make.from_dict(for_pysigma(cast("dict[str, Any]", document.data)), collect_errors=True)
        except PYSIGMA_ERRORS as error:
            self.faults.append(pysigma_fault(document, error))
            return None
        self.faults += [pysigma_fault(document, error) for error in parsed.errors]
        return None if parsed.errors else parsed

    def _reads(self, dataset: str, foreign: Logsource | None) -> Conditions:
        """How conditions on those events are read; a foreign rule's is its own, for it notes what can never hold."""
        if foreign is not None:
            return ForeignConditions(foreign, self.constants)
        if dataset not in self._conditions:
            self._conditions[dataset] = Conditions(fields(dataset), self.constants)
        return self._conditions[dataset]

    def _unique(self, drafts: list[Draft]) -> list[Draft]:
        """Return the drafts less those whose id or name was given before."""
        seen: dict[str, Draft] = {}
        kept = []
        for draft in drafts:
            names = {"id": draft.rule.id, "name": draft.rule.name}
            taken = {key: seen[name] for key, name in names.items() if name and name in seen}
            for key, other in taken.items():
                where = f"{other.document.path}:{other.document.line(key)}"
                self.faults.append(
                    draft.document.fault(f"the {key} `{names[key]}` is taken by {where}", "give it another", key)
                )
            if not taken:
                seen |= {name: draft for name in names.values() if name}
                kept.append(draft)
        return kept

    def _test(self, known: Mapping[str, Draft]) -> None:
        """Run the rules' own tests, before a site's overrides and filters change what they match."""
        for draft in self.drafts:
            for outcome in outcomes(draft, known, self.constants):
                self.outcomes.append((draft, outcome))
                if outcome.fault:
                    self._refuse(draft.document, [outcome.fault])

    def _override(self, known: Mapping[str, Draft]) -> None:
        """Put the site's overrides over the rules that they name."""
        said: dict[tuple[str, str], Document] = {}
        rules = {name: draft for name, draft in known.items() if not isinstance(draft.parsed, SigmaFilter)}
        for document in self.overrides:
            if self._lapsed(document):
                continue
            override = cast("dict[str, Any]", document.data["override"])
            draft = rules.get(override["rule"])
            if draft is None:
                self._refuse(document, [unknown_rule(override["rule"], rules, "override", "rule", drafts=self.drafts)])
                continue
            for key in override.keys() - {"rule"}:
                other = said.setdefault((draft.rule.id or draft.rule.name, key), document)
                if other is not document:
                    where = f"{other.path}:{other.line('override', key)}"
                    message = f"`{key}` of that rule is overridden by {where} already"
                    self._refuse(document, [RefusedError(message, "keep one of the two", "override", key)])
            draft.rule = overridden(draft.rule, override)
            if "suppress" in override:
                draft.story, draft.written = ("override", "suppress", "by"), document
            if "threshold" in override:
                try:
                    threshold(draft, override["threshold"])
                except RefusedError as error:
                    self._refuse(document, [error])

    def _filter(self, known: Mapping[str, Draft]) -> None:
        """Put filters into their rules."""
        targets = {name: draft for name, draft in known.items() if isinstance(draft.parsed, SigmaRule)}
        for draft in self.drafts:
            if isinstance(draft.parsed, SigmaFilter) and not self._lapsed(draft.document):
                self._apply(draft, draft.parsed, targets)

    def _apply(self, draft: Draft, parsed: SigmaFilter, targets: Mapping[str, Draft]) -> None:
        try:
            if draft.conditions is not None:
                parse_condition(draft.conditions, parsed.filter, "filter")
        except RefusedError as error:
            self._refuse(draft.document, [error])
            return
        wanted = parsed.filter.rules
        for reference in () if isinstance(wanted, str) else wanted:
            target = targets.get(reference.reference)
            if target is None or not isinstance(target.parsed, SigmaRule) or target.parsed.logsource not in parsed.logsource:
                of = "of that service "
                refusal = unknown_rule(reference.reference, targets, "filter", drafts=self.drafts, of=of)
                self._refuse(draft.document, [refusal])
        for rule in {id(target.parsed): target.parsed for target in targets.values()}.values():
            if isinstance(rule, SigmaRule):
                parsed.apply_on_rule(rule)

    def _lapsed(self, document: Document) -> bool:
        """Whether a filter or override has expired; says so."""
        custom = cast("dict[str, Any]", document.data.get("custom", {}))
        if "expires" not in custom or day(custom["expires"]) >= self.today:
            return False
        message = f"expired on {custom['expires']}, and is no longer in force"
        self.warnings.append(document.fault(message, "remove it, or give it a later day", "custom", "expires"))
        return True

    def _say_what_expires(self) -> None:
        """Warn of rules whose last day is near or over."""
        for draft in self.drafts:
            last = draft.rule.expires
            if last is None or isinstance(draft.parsed, SigmaFilter) or (last - self.today).days > SOON:
                continue
            words = "the rule expired and no longer alerts" if last < self.today else "the rule soon expires"
            message = f"{words}: its last day is {last}"
            self.warnings.append(draft.document.fault(message, "review it, and give it a later day", "custom", "expires"))


def _foreign(document: Document) -> Logsource | None:
    """What the logsource of a rule for others' logs is of ours; None for our own, and where there is none."""
    logsource = document.data.get("logsource")
    return foreign_logsource(cast("dict[str, Any]", logsource)) if isinstance(logsource, dict) else None
