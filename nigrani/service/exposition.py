"""Metrics in Prometheus' text format, version 0.0.4.

The families are our own or prometheus_client's, which have the same shape. Whoever has few metrics does without that
library: its import brings TLS, an HTTP server and an HTTP client, 9 MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})
_LABEL_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class Sample(NamedTuple):
    """One series, now."""

    name: str
    labels: Mapping[str, str]
    value: float


class Family:
    """The series of one metric."""

    def __init__(self, kind: str, name: str, text: str, value: float | None = None) -> None:
        """kind: `counter` or `gauge`. name: a counter's without its `_total`. value: of the one series without labels."""
        self.type = kind
        self.name = name
        self.documentation = text
        self.samples: list[Sample] = []
        if value is not None:
            self.add(value)

    def add(self, value: float, **labels: str) -> None:
        """One more series."""
        suffix = "_total" if self.type == "counter" else ""
        self.samples.append(Sample(self.name + suffix, labels, value))


class FamilyLike(Protocol):
    """What a family is here. The samples' type is prometheus_client's, or ours."""

    type: str
    name: str
    documentation: str
    samples: Any


class Collector(Protocol):
    """What has metrics."""

    def collect(self) -> Iterable[FamilyLike]:
        """Its families, now."""


class Registry:
    """Collectors, one after the other."""

    def __init__(self) -> None:
        self._collectors: list[Collector] = []

    def register(self, collector: Collector) -> None:
        """Add its metrics."""
        self._collectors.append(collector)

    def collect(self) -> Iterator[FamilyLike]:
        """All families."""
        for collector in self._collectors:
            yield from collector.collect()


def exposition(collector: Collector) -> bytes:
    """The text of all metrics. When a counter was made is left out: nobody asks, and it doubles the series."""
    return "".join(line for family in collector.collect() for line in _lines(family)).encode()


def _lines(family: FamilyLike) -> Iterator[str]:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    yield f"# HELP {name} {family.documentation.translate(_ESCAPES)}\n"
    yield f"# TYPE {name} {'untyped' if family.type == 'unknown' else family.type}\n"
    for sample in family.samples:
        if not sample.name.endswith("_created"):
            pairs = ",".join(f'{key}="{value.translate(_LABEL_ESCAPES)}"' for key, value in sorted(sample.labels.items()))
            yield f"{sample.name}{f'{{{pairs}}}' if pairs else ''} {sample.value}\n"
