"""Keys of ours: what fits, what does not, and what is made of it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest

from detector.rule import Suppress
from detector.rule_custom import CUSTOM, custom_refusals, day, suppress_of

GOOD: dict[str, Any] = {
    "risk": 40,
    "owner": "the team",
    "stage": "shadow",
    "expires": date(2027, 1, 31),
    "suppress": {"by": ["host.id"], "for": "1h"},
    "tests": [{"event": {"event.action": "c-find"}, "match": True, "title": "one"}, {"events": [{}, {}], "match": False}],
}


def refused(**custom: Any) -> list[str]:
    return [f"{'.'.join(map(str, error.keys))}: {error.message}" for error in custom_refusals(custom)]


def test_good_keys() -> None:
    assert refused(**GOOD) == []
    assert set(GOOD) < set(CUSTOM)


@pytest.mark.parametrize(
    ("custom", "said"),
    [
        ({"stage": "off"}, "custom.stage: `custom.stage` cannot be `off`"),
        ({"stage": False}, "custom.stage: `custom.stage` cannot be `false`, as which YAML reads a bare off or no"),
        ({"stage": ["on"]}, "custom.stage: `custom.stage` cannot be such a list"),
        ({"expires": "soon"}, "custom.expires: `custom.expires` cannot be `soon`"),
        ({"expires": datetime(2027, 1, 31)}, "custom.expires: "),  # noqa: DTZ001 as YAML reads it
        ({"owner": ""}, "custom.owner: "),
        ({"suppress": "1h"}, "custom.suppress: `custom.suppress` cannot be `1h`"),
        ({"suppress": {"by": [], "for": "1h"}}, "custom.suppress.by: suppress has no `by`"),
        ({"suppress": {"for": "1h"}}, "custom.suppress.by: suppress has no `by`"),
        ({"suppress": {"by": ["host.id"]}}, "custom.suppress.for: `None` is no time up to 7 days"),
        ({"suppress": {"by": ["host.id"], "for": "8d"}}, "custom.suppress.for: `8d` is no time"),
        ({"suppress": {"by": ["host.id"], "for": "0.1s"}}, "custom.suppress.for: "),
        ({"suppress": {"by": "host.id", "for": "1h", "til": 3}}, "custom.suppress.til: unknown key `til` in suppress"),
        ({"tests": {"event": {}}}, "custom.tests: "),
        ({"tests": [3]}, "custom.tests.0: a test is not a map"),
        ({"tests": [{"match": True}]}, "custom.tests.0: a test has no events"),
        ({"tests": [{"event": {}, "events": [{}], "match": True}]}, "custom.tests.0: a test has no events"),
        ({"tests": [{"events": [], "match": True}]}, "custom.tests.0: a test has no events"),
        ({"tests": [{"event": {}}]}, "custom.tests.0: a test does not say whether the rule matches"),
        ({"tests": [{"event": {}, "match": "yes"}]}, "custom.tests.0: a test does not say"),
        ({"tests": [{"evnt": {}, "event": {}, "match": True}]}, "custom.tests.0.evnt: unknown key `evnt` in a test"),
        ({"tests": [{"event": {}, "match": True}] * 51}, "custom.tests: over 50 tests"),
        ({"tests": [{"events": [{}] * 600, "match": True}] * 2}, "custom.tests: over 1000 events in tests"),
        ({"sage": "on"}, "custom.sage: unknown key `custom.sage`"),
    ],
)
def test_bad_keys(custom: dict[str, Any], said: str) -> None:
    [line] = refused(**custom)
    assert line.startswith(said)


def test_what_is_made_of_them() -> None:
    assert suppress_of({"by": "host.id", "for": "90m"}) == Suppress(("host.id",), 5400)
    assert day("2027-01-31") == day(date(2027, 1, 31)) == date(2027, 1, 31)
