"""From folders of rule files to compiled rules, with every fault of every file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, cast

import msgspec
from sigma.correlations import SigmaCorrelationRule
from sigma.filters import SigmaFilter
from sigma.rule import SigmaLogSource, SigmaRule

from detector.condition import Conditions
from detector.correlation import Correlation
from detector.rule import Fault, RefusedError, Rule
from detector.rule_correlation import correlation_refusals, counted_rules, never_silent, read_correlation
from detector.rule_detection import (
    PYSIGMA_ERRORS,
    detection_refusals,
    parse_condition,
    pysigma_fault,
    unused_selections,
)
from detector.rule_field import PRODUCT, fields, nearest
from detector.rule_file import MAX_FAULTS, Document, documents, read_bytes, rule_files
from detector.rule_header import dataset_of, header_faults, rule_of
from detector.rule_tree import Constants, Node

Parsed = SigmaRule | SigmaCorrelationRule | SigmaFilter


@dataclass(slots=True)
class Draft:
    """A document whose own parts are sound, not yet joined with the others."""

    document: Document
    rule: Rule
    parsed: Parsed


@dataclass(slots=True)
class Entry:
    """A compiled condition, what it says by itself, and what counts it."""

    rule: Rule
    condition: Node
    alerts: bool = True
    correlations: list[Correlation] = field(default_factory=list)


class Loader:
    """Reads rule files once; everything it found is in its attributes."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self.constants = Constants()
        self.entries: dict[str, list[Entry]] = {}
        self.rules: list[Rule] = []
        self.correlations: list[Correlation] = []
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []
        self._counted: set[str] = set()
        self._conditions: dict[str, Conditions] = {}
        self._digest = hashlib.sha256()
        drafts = [draft for document in self._documents(folders) if (draft := self._draft(document))]
        self._join(self._unique(drafts))
        self.rules.sort(key=lambda rule: rule.path)
        self.faults.sort()
        self.warnings.sort()

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the names and contents of the files."""
        return self._digest.hexdigest()

    def _documents(self, folders: Iterable[Path]) -> Iterable[Document]:
        for folder in folders:
            if not folder.exists():
                self.faults.append(Fault(folder, 0, "there is no such folder", "correct the path or create the folder"))
            for path in rule_files(folder):
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
        """Read the document's own parts; None where it has faults."""
        self._counted |= counted_rules(document.data)
        faults = header_faults(document)
        kinds = [key for key in ("detection", "correlation", "filter") if key in document.data]
        if len(kinds) != 1:
            faults.append(document.fault("a rule has one of detection, correlation and filter", "add it, or split with ---"))
        if faults:
            self.faults += faults
            return None
        return self._correlation_draft(document) if kinds == ["correlation"] else self._rule_draft(document, kinds[0])

    def _correlation_draft(self, document: Document) -> Draft | None:
        correlation = cast("dict[str, Any]", document.data["correlation"])
        refusals = list(islice(correlation_refusals(correlation), MAX_FAULTS))
        self._refuse(document, refusals)
        parsed = None if refusals else self._parse(document, SigmaCorrelationRule)
        return Draft(document, rule_of(document, ()), parsed) if parsed else None

    def _rule_draft(self, document: Document, key: str) -> Draft | None:
        """Read a rule or a filter, whose detection is under that key."""
        data = cast("dict[str, Any]", document.data)
        try:
            dataset = dataset_of(data.get("logsource", {}))
        except RefusedError as error:
            self._refuse(document, [error])
            return None
        reads = self._reads(dataset)
        refusals = list(islice(detection_refusals(reads, data[key], key), MAX_FAULTS))
        self._refuse(document, refusals)
        self.warnings += [document.fault(message, remedy, key) for message, remedy in dict.fromkeys(reads.warnings)]
        reads.warnings.clear()
        parsed = None if refusals else self._parse(document, SigmaRule if key == "detection" else SigmaFilter)
        if isinstance(parsed, SigmaRule | SigmaFilter):
            parsed.logsource = SigmaLogSource(product=PRODUCT, service=data["logsource"]["service"])
            return Draft(document, rule_of(document, (dataset,)), parsed)
        return None

    def _refuse(self, document: Document, refusals: Iterable[RefusedError]) -> None:
        self.faults += [document.fault(error.message, error.remedy, *error.keys) for error in refusals]

    def _parse(self, document: Document, make: type[Parsed]) -> Parsed | None:
        try:
            parsed = make.from_dict(cast("dict[str, Any]", document.data), collect_errors=True)
        except PYSIGMA_ERRORS as error:
            self.faults.append(pysigma_fault(document, error))
            return None
        self.faults += [pysigma_fault(document, error) for error in parsed.errors]
        return None if parsed.errors else parsed

    def _reads(self, dataset: str) -> Conditions:
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

    def _join(self, drafts: list[Draft]) -> None:
        """Put filters into their rules, rules into conditions, and these into the correlations that count them."""
        targets = {ref: draft for draft in drafts for ref in _references(draft) if isinstance(draft.parsed, SigmaRule)}
        for draft in drafts:
            if isinstance(draft.parsed, SigmaFilter):
                self._filter(draft, draft.parsed, targets)
        entries: dict[str, Entry] = {}
        for draft in drafts:
            if isinstance(draft.parsed, SigmaRule):
                entry = self._entry(draft, draft.parsed)
                entries |= {ref: entry for ref in _references(draft) if entry}
        for draft in drafts:
            if isinstance(draft.parsed, SigmaCorrelationRule):
                self._correlate(draft, draft.parsed, entries)

    def _filter(self, draft: Draft, parsed: SigmaFilter, targets: dict[str, Draft]) -> None:
        try:
            parse_condition(self._reads(draft.rule.datasets[0]), parsed.filter, "filter")
        except RefusedError as error:
            self._refuse(draft.document, [error])
            return
        wanted = parsed.filter.rules
        for reference in () if isinstance(wanted, str) else wanted:
            target = targets.get(reference.reference)
            if target is None or target.rule.datasets != draft.rule.datasets:
                self._refuse(draft.document, [_unknown(reference.reference, targets, "filter")])
        for rule in {id(target.parsed): target.parsed for target in targets.values()}.values():
            if isinstance(rule, SigmaRule):
                parsed.apply_on_rule(rule)

    def _entry(self, draft: Draft, parsed: SigmaRule) -> Entry | None:
        reads = self._reads(draft.rule.datasets[0])
        try:
            entry = Entry(draft.rule, parse_condition(reads, parsed.detection))
        except RefusedError as error:
            self._refuse(draft.document, [error])
            return None
        reads.warnings.clear()
        for name in unused_selections(parsed.detection):
            self.warnings.append(
                draft.document.fault(
                    f"no condition uses `{name}`", "name it in the condition or remove it", "detection", name
                )
            )
        entry.alerts = self._counted.isdisjoint(_references(draft))
        if entry.alerts and not self._may_alert(draft):
            return None
        if entry.alerts:
            self.rules.append(draft.rule)
        self.entries.setdefault(draft.rule.datasets[0], []).append(entry)
        return entry

    def _correlate(self, draft: Draft, parsed: SigmaCorrelationRule, entries: dict[str, Entry]) -> None:
        references = [reference.reference for reference in parsed.rules or ()]
        unknown = [_unknown(name, entries, "correlation", "rules") for name in references if name not in entries]
        self._refuse(draft.document, unknown)
        if not self._may_alert(draft) or unknown:
            return
        bases = {id(entry): entry for name in references for entry in [entries[name]]}.values()
        datasets = tuple(dict.fromkeys(dataset for base in bases for dataset in base.rule.datasets))
        rule = msgspec.structs.replace(draft.rule, datasets=datasets)
        try:
            correlation = read_correlation(parsed, rule, datasets)
        except RefusedError as error:
            self._refuse(draft.document, [error])
            return
        self.warnings += [draft.document.fault(*warning, "correlation", "condition") for warning in never_silent(parsed)]
        self.rules.append(rule)
        self.correlations.append(correlation)
        for base in bases:
            base.correlations.append(correlation)

    def _may_alert(self, draft: Draft) -> bool:
        """Return whether a rule that alerts has what an alert needs."""
        missing = [key for key in ("id", "level") if key not in draft.document.data]
        self.faults += [draft.document.fault(f"the rule has no {key}", f"add `{key}:`") for key in missing]
        return not missing


def _references(draft: Draft) -> set[str]:
    return {name for name in (draft.rule.id, draft.rule.name) if name}


def _unknown(name: str, known: Iterable[str], *keys: str) -> RefusedError:
    return RefusedError(f"no sound rule of that service is called `{name}`", nearest(name, known), *keys)
