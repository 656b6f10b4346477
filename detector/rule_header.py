"""What a rule says about itself: its keys beside the detection, each fault with its line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date
from itertools import islice
from typing import Any, cast
from uuid import UUID

from detector.matrix import tag_warning
from detector.rule import LEVELS, RISKS, STAGES, Fault, RefusedError, Rule
from detector.rule_custom import custom_refusals, day, is_text, is_texts, stage_of, suppress_of
from detector.rule_field import PRODUCT, SERVICES, nearest
from detector.rule_file import MAX_FAULTS, Document

STATUSES = ("unsupported", "deprecated", "experimental", "test", "stable")

TEXTS = ("title", "id", "name", "status", "description", "author", "level", "license", "taxonomy")
TEXT_LISTS = ("references", "falsepositives", "tags", "fields", "scope")
MAPS = ("logsource", "detection", "correlation", "filter", "override", "custom")
OTHERS = ("related", "date", "modified")
KEYS = frozenset(TEXTS + TEXT_LISTS + MAPS + OTHERS)

MAX_TITLE = 256

TECHNIQUES = {
    "attack": re.compile(r"t\d{4}(\.\d{3})?"),
    "atlas": re.compile(r"aml[.-]t\d{4}([.-]\d{3})?"),
}
"""Tag namespace → how a technique is written in it; other words of a namespace are tactics."""


def header_faults(document: Document, *, foreign: bool = False) -> list[Fault]:
    """Everything wrong with the keys of a rule, its detection aside; a foreign rule may have keys that we do not know."""
    refusals = islice(_refusals(document.data, foreign=foreign), MAX_FAULTS)
    found = [document.fault(error.message, error.remedy, *error.keys) for error in refusals]
    return sorted(found)


def header_warnings(document: Document) -> list[Fault]:
    """Tags of techniques and tactics that the matrices do not have."""
    tags = document.data.get("tags")
    if not is_texts(tags):
        return []
    found = ((number, tag_warning(tag)) for number, tag in enumerate(cast("list[str]", tags)) if _is_tag(tag))
    warned = islice(((number, warning) for number, warning in found if warning), MAX_FAULTS)
    return [document.fault(message, remedy, "tags", number) for number, (message, remedy) in warned]


def dataset_of(logsource: dict[str, Any]) -> str:
    """Return the dataset a rule runs on. Raises RefusedError."""
    product = logsource.get("product", PRODUCT)
    if product != PRODUCT:
        raise RefusedError(f"unknown product `{product}`", f"write `product: {PRODUCT}`", "logsource", "product")
    for key in sorted(set(logsource) - {"product", "service", "definition"}):
        raise RefusedError(f"logsource cannot have `{key}`", "select by service only", "logsource", key)
    service = logsource.get("service")
    if not isinstance(service, str) or service not in SERVICES:
        raise RefusedError(f"unknown service `{service}`", nearest(str(service), SERVICES), "logsource", "service")
    return SERVICES[service]


def rule_of(document: Document, datasets: tuple[str, ...]) -> Rule:
    """Make the rule of a document whose header has no fault."""
    data = cast("dict[str, Any]", document.data)
    custom = data.get("custom", {})
    tags = tuple(data.get("tags", ()))
    level = data.get("level", LEVELS[0])
    return Rule(
        id=str(UUID(data["id"])) if "id" in data else "",
        title=data["title"],
        path=document.path,
        name=data.get("name", ""),
        level=level,
        status=data.get("status", ""),
        description=data.get("description", ""),
        false_positives=tuple(data.get("falsepositives", ())),
        references=tuple(data.get("references", ())),
        tags=tags,
        attack=_techniques("attack", tags),
        atlas=_techniques("atlas", tags),
        matrix=custom.get("matrix", ""),
        risk=custom.get("risk", RISKS[level]),
        runbook=custom.get("runbook", ""),
        first_steps=tuple(custom.get("first_steps", ())),
        title_detail=custom.get("title_detail", ""),
        unit=custom.get("unit", ""),
        owner=custom.get("owner", ""),
        stage=stage_of(custom.get("stage", STAGES[-1])),
        expires=day(custom["expires"]) if "expires" in custom else None,
        suppress=suppress_of(custom["suppress"]) if "suppress" in custom else None,
        datasets=datasets,
    )


def _refusals(data: dict[str, Any], *, foreign: bool) -> Iterator[RefusedError]:
    for key in () if foreign else data.keys() - KEYS:
        yield RefusedError(f"unknown key `{key}`", f"{nearest(key, KEYS)} Our own keys go under `custom`", key)
    for keys, fits, wanted, remedy in SHAPES:
        for key in data.keys() & set(keys):
            if not fits(data[key]):
                yield RefusedError(f"`{key}` is not {wanted}", remedy, key)
    if "title" not in data:
        yield RefusedError("the rule has no title", "add `title:`")
    yield from _wrong_values(data)
    if isinstance(data.get("custom"), dict):
        yield from custom_refusals(data["custom"])


def _wrong_values(data: dict[str, Any]) -> Iterator[RefusedError]:
    if isinstance(data.get("title"), str) and len(data["title"]) > MAX_TITLE:
        yield RefusedError(f"the title is longer than {MAX_TITLE} characters", "move the rest to `description`", "title")
    if isinstance(data.get("id"), str) and not _is_uuid(data["id"]):
        yield RefusedError("`id` is not a UUID", "make one with `uuidgen`", "id")
    for key, words in (("level", LEVELS), ("status", STATUSES)):
        if isinstance(data.get(key), str) and data[key] not in words:
            yield RefusedError(f"`{data[key]}` is no {key}", "use one of: " + ", ".join(words), key)
    if is_texts(data.get("tags")):
        for number, tag in enumerate(data["tags"]):
            if not _is_tag(tag):
                yield RefusedError(
                    f"`{tag}` is no ATT&CK or ATLAS tag", "write attack.t1046 or atlas.aml.t0024.002", "tags", number
                )


SHAPES: tuple[tuple[tuple[str, ...], Callable[[object], bool], str, str], ...] = (
    (TEXTS, is_text, "text", "write a text, in quotes if need be"),
    (TEXT_LISTS, is_texts, "a list of texts", "write one text a line, each after a dash"),
    (MAPS, lambda value: isinstance(value, dict), "a map", "write its keys on lines of their own, indented"),
    (("date", "modified"), lambda value: isinstance(value, date | str), "a date", "write it as 2026-01-31"),
)
"""Keys → whether a value fits, what does, and the remedy."""


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _is_tag(tag: str) -> bool:
    namespace, dot, word = tag.partition(".")
    if not dot or not word:
        return False
    technique = TECHNIQUES.get(namespace)
    looks_like_one = re.match(r"(t|aml[.-]?t?)\d", word) is not None
    return technique is None or not looks_like_one or technique.fullmatch(word) is not None


def _techniques(namespace: str, tags: tuple[str, ...]) -> tuple[str, ...]:
    """Technique ids as their matrix writes them: T1046, AML.T0024.002."""
    words = [tag.removeprefix(f"{namespace}.") for tag in tags if tag.startswith(f"{namespace}.")]
    return tuple(word.replace("-", ".").upper() for word in words if TECHNIQUES[namespace].fullmatch(word))
