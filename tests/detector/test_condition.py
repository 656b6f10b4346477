"""Each of Sigma's value tests, on the fields of events."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sigma.rule import SigmaDetections

from detector.condition import Conditions
from detector.rule import Extra, RefusedError
from detector.rule_detection import detection_refusals, parse_condition
from detector.rule_field import event_fields
from detector.rule_program import Program
from detector.rule_tree import Constants
from nigrani.stream.event import Count, Event, Word


class Kinds(Event, kw_only=True, tag="kinds"):
    """A field of each kind."""

    text: Word = ""
    other: Word = ""
    size: Count = 0
    limit: Count | None = None
    share: float | None = None
    flag: bool = False
    words: list[Word] = []  # noqa: RUF012 msgspec copies it
    sizes: list[Count] = []  # noqa: RUF012 msgspec copies it
    skipped: dict[str, int] = {}  # noqa: RUF012 msgspec copies it


FIELDS = event_fields(Kinds)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def kinds(**values: object) -> Kinds:
    return Kinds(timestamp=NOW, id="e", sequence=0, agent="a", host="h", **values)  # type: ignore[arg-type]


def program(detection: dict[str, object]) -> Program:
    constants = Constants()
    conditions = Conditions(FIELDS, constants)
    refused = list(detection_refusals(conditions, detection))
    if refused:
        raise refused[0]
    return Program([parse_condition(conditions, SigmaDetections.from_dict(detection))], constants)


def matches(selection: object, event: Event, extra: Extra | None = None) -> bool:
    found = program({"sel": selection, "condition": "sel"}).match(event, extra or Extra())
    return found == (0,)


SEMANTICS = [
    # equality and case
    ({"text": "Abc"}, {"text": "aBC"}, True),
    ({"text": "abc"}, {"text": "abcd"}, False),
    ({"text": ["x", "ABC"]}, {"text": "abc"}, True),
    ({"text|cased": "Abc"}, {"text": "Abc"}, True),
    ({"text|cased": "Abc"}, {"text": "abc"}, False),
    ({"text": ["b", "c*"]}, {"text": "Cat"}, True),
    # wildcards
    ({"text": "a*c"}, {"text": "aBBc"}, True),
    ({"text": "a*c"}, {"text": "ac"}, True),
    ({"text": "a?c"}, {"text": "abc"}, True),
    ({"text": "a?c"}, {"text": "ac"}, False),
    ({"text": "a?c"}, {"text": "aéc"}, True),
    ({"text": "a*c"}, {"text": "a\nc"}, True),
    ({"text": "a.c*d"}, {"text": "abcd"}, False),
    ({"text": r"a\*"}, {"text": "a*"}, True),
    ({"text": r"a\*"}, {"text": "ab"}, False),
    ({"text": r"*\?*"}, {"text": "why?"}, True),
    ({"text": "*"}, {"text": "x"}, True),
    ({"text": "*"}, {"text": ""}, False),
    ({"text": "**"}, {"text": ""}, False),
    ({"text": "a**"}, {"text": "ab"}, True),
    ({"text|cased": "A*b*C"}, {"text": "AxbyC"}, True),
    ({"text|cased": "A*b*C"}, {"text": "axbyc"}, False),
    # substrings
    ({"text|contains": "bb"}, {"text": "aBBa"}, True),
    ({"text|contains": ["x", "BB"]}, {"text": "abba"}, True),
    ({"text|contains|all": ["a", "bb"]}, {"text": "abba"}, True),
    ({"text|contains|all": ["a", "x"]}, {"text": "abba"}, False),
    ({"text|contains": "a*a"}, {"text": "xabbax"}, True),
    ({"text|startswith": "AB"}, {"text": "abba"}, True),
    ({"text|startswith": ["x", "b"]}, {"text": "abba"}, False),
    ({"text|endswith": "BA"}, {"text": "abba"}, True),
    ({"text|startswith|cased": "AB"}, {"text": "abba"}, False),
    # patterns
    ({"text|re": "b+"}, {"text": "abba"}, True),
    ({"text|re": "^b+"}, {"text": "abba"}, False),
    ({"text|re": "B"}, {"text": "abba"}, False),
    ({"text|re|i": "B"}, {"text": "abba"}, True),
    ({"text|re": ["x", "^a.*a$"]}, {"text": "abba"}, True),
    ({"text|re|s": "a.b"}, {"text": "a\nb"}, True),
    ({"text|re": "a.b"}, {"text": "a\nb"}, False),
    ({"text|re|m": "^b$"}, {"text": "a\nb"}, True),
    ({"text|re|i|m": "^B$"}, {"text": "a\nb"}, True),
    ({"text|re": r"a\*\d{2}"}, {"text": "a*12"}, True),
    # encodings as pySigma expands them
    ({"text|base64offset|contains": "secret"}, {"text": "xxc2VjcmV0yy"}, True),
    ({"text|base64|contains": "secret"}, {"text": "c2VjcmV0"}, True),
    ({"text|windash|contains": " -x"}, {"text": "run /x now"}, True),
    ({"text|windash|contains|all": [" -x", "now"]}, {"text": "run /x now"}, True),
    # networks, of addresses that are not tokens
    ({"text|cidr": "10.0.0.0/8"}, {"text": "10.1.2.3"}, True),
    ({"text|cidr": ["192.168.0.0/16", "2001:db8::/32"]}, {"text": "2001:db8::1"}, True),
    ({"text|cidr": "10.0.0.0/8"}, {"text": "ip:3f9a"}, False),
    # numbers
    ({"size": 5}, {"size": 5}, True),
    ({"size": "5"}, {"size": 5}, True),
    ({"size": [4, 5]}, {"size": 5}, True),
    ({"size": [4, "6"]}, {"size": 5}, False),
    ({"size|lt": 5}, {"size": 5}, False),
    ({"size|lte": 5}, {"size": 5}, True),
    ({"size|gt": 4.5}, {"size": 5}, True),
    ({"size|gte": 6}, {"size": 5}, False),
    ({"limit|lt": 5}, {}, False),
    ({"limit|gte": 0}, {}, False),
    ({"limit|lt": 5}, {"limit": 0}, True),
    ({"limit": 5}, {}, False),
    ({"limit": [5, 6]}, {"limit": 6}, True),
    ({"share|gte": 0.5}, {"share": 0.75}, True),
    ({"share": 0.75}, {"share": 0.75}, True),
    # truth
    ({"flag": True}, {"flag": True}, True),
    ({"flag": True}, {}, False),
    ({"flag": False}, {}, True),
    # negation
    ({"text|neq": "abc"}, {"text": "abd"}, True),
    ({"text|neq": "abc"}, {"text": "ABC"}, False),
    ({"text|neq": ["a", "b"]}, {"text": "b"}, False),
    ({"size|neq": 5}, {"size": 4}, True),
    ({"text|contains|neq": "b"}, {"text": "abc"}, False),
    # absence
    ({"text": None}, {}, True),
    ({"text": None}, {"text": "x"}, False),
    ({"text": ""}, {}, True),
    ({"text": [None, "x"]}, {}, True),
    ({"text|exists": True}, {"text": "x"}, True),
    ({"text|exists": True}, {}, False),
    ({"text|exists": False}, {}, True),
    ({"limit": None}, {}, True),
    ({"limit|exists": True}, {"limit": 0}, True),
    ({"size|exists": True}, {}, True),
    ({"words|exists": True}, {}, False),
    ({"words": None}, {}, True),
    # other fields
    ({"text|fieldref": "other"}, {"text": "Abc", "other": "aBc"}, True),
    ({"text|fieldref": "other"}, {"text": "abc", "other": "abd"}, False),
    ({"text|fieldref": "other"}, {}, False),
    ({"text|fieldref|startswith": "other"}, {"text": "Abc", "other": "aB"}, True),
    ({"text|fieldref|startswith": "other"}, {"text": "abc"}, False),
    ({"text|fieldref|endswith": "other"}, {"text": "abc", "other": "BC"}, True),
    ({"text|fieldref|contains": "other"}, {"text": "abcd", "other": "bc"}, True),
    ({"size|fieldref": "limit"}, {"size": 3, "limit": 3}, True),
    ({"limit|fieldref": "limit"}, {}, False),
    # lists
    ({"words": "B"}, {"words": ["a", "b"]}, True),
    ({"words": "b"}, {}, False),
    ({"words": ["x", "y"]}, {"words": ["a", "b"]}, False),
    ({"words|all": ["a", "b"]}, {"words": ["a", "b"]}, True),
    ({"words|all": ["a", "x"]}, {"words": ["a", "b"]}, False),
    ({"words|startswith": "b"}, {"words": ["a", "bc"]}, True),
    ({"words|re": "^c$"}, {"words": ["a", "c"]}, True),
    ({"words|neq": "a"}, {"words": ["a", "b"]}, False),
    ({"sizes|gt": 5}, {"sizes": [1, 9]}, True),
    ({"sizes": [1, 2]}, {"sizes": [3]}, False),
    # several fields, and alternatives
    ({"text": "a", "size": 1}, {"text": "a", "size": 1}, True),
    ({"text": "a", "size": 1}, {"text": "a", "size": 2}, False),
    ([{"text": "a"}, {"size": 2}], {"text": "b", "size": 2}, True),
    ([{"text": "a"}, {"text": "b"}], {"text": "B"}, True),
    ([{"text": "a"}, {"text": "b", "size": 1}], {"text": "b", "size": 2}, False),
    # the envelope
    ({"nigrani.count|gte": 2}, {"count": 2}, True),
    ({"host.id": "H"}, {}, True),
]


@pytest.mark.parametrize(("selection", "values", "expected"), SEMANTICS)
def test_semantics(selection: object, values: dict[str, object], expected: bool) -> None:
    assert matches(selection, kinds(**values)) is expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("yes_1", True),
        ("no", False),
        ("not no", True),
        ("yes_1 and not no", True),
        ("no or yes_1", True),
        ("no or (yes_1 and no)", False),
        ("not (no or no)", True),
        ("1 of yes_*", True),
        ("all of yes_*", True),
        ("all of them", False),
        ("1 of them", True),
        ("not 1 of them", False),
        ("not not yes_1", True),
        (["no", "yes_1"], True),
    ],
)
def test_conditions(condition: object, expected: bool) -> None:
    detection = {"yes_1": {"text": "a"}, "yes_2": {"size": 1}, "no": {"text": "b"}, "condition": condition}
    assert bool(program(detection).match(kinds(text="a", size=1), Extra())) is expected


class TestBesideTheEvent:
    def test_new_facts(self) -> None:
        selection = {"nigrani.new": "calling_ae"}
        assert matches(selection, kinds(), Extra(new=("peer", "calling_ae")))
        assert not matches(selection, kinds(), Extra(new=("peer",)))
        assert not matches(selection, kinds())

    def test_all_and_any_of_them(self) -> None:
        extra = Extra(new=("peer", "device"))
        assert matches({"nigrani.new|all": ["peer", "device"]}, kinds(), extra)
        assert matches({"nigrani.new": ["client", "device"]}, kinds(), extra)
        assert matches({"nigrani.new": "*"}, kinds(), extra)
        assert not matches({"nigrani.new": "*"}, kinds())

    def test_classes_of_devices(self) -> None:
        extra = Extra(device_class="pacs", source_class="modality")
        assert matches({"device.class": "PACS", "source.class": ["his", "modality"]}, kinds(), extra)
        assert matches({"source.class|startswith": "mod", "destination.class|exists": False}, kinds(), extra)
        assert not matches({"device.class": ["modality", "lab"]}, kinds(), extra)
        assert not matches({"device.class": "unknown"}, kinds()), "nothing is said where nothing is known"
        assert not matches({"device.class|fieldref": "source.class"}, kinds(), extra)
        assert matches({"device.class|fieldref": "source.class"}, kinds(), Extra(device_class="lab", source_class="lab"))

    def test_p_value(self) -> None:
        selection = {"p_value|lte": 0.001}
        assert matches(selection, kinds(), Extra(p_value=0.001))
        assert not matches(selection, kinds(), Extra(p_value=0.01))
        assert not matches(selection, kinds())


@pytest.mark.parametrize(
    ("selection", "held"),
    [
        ({"@timestamp|minute": 30}, True),
        ({"@timestamp|hour": 22}, True),
        ({"@timestamp|hour": [1, 22]}, True),
        ({"@timestamp|hour": 3}, False),
        ({"@timestamp|hour|gte": 22}, True),
        ({"@timestamp|hour|lt": 6}, False),
        ({"@timestamp|hour|neq": 22}, False),
        ({"@timestamp|day": 31}, True),
        ({"@timestamp|week": 1}, True),
        ({"@timestamp|month": 12}, True),
        ({"@timestamp|year": 2025}, True),
    ],
)
def test_parts_of_a_time_are_of_utc(selection: object, held: bool) -> None:
    india = timezone(timedelta(hours=5, minutes=30))
    event = msgspec.structs.replace(kinds(), timestamp=datetime(2026, 1, 1, 4, 0, tzinfo=india))
    assert matches(selection, event) is held


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"txt": "a"}, "unknown field `txt`"),
        ({"text|fieldref": "size"}, "cannot be compared"),
        ({"words|fieldref": "words"}, "cannot be compared"),
        ({"text|fieldref": "nowhere"}, "unknown field `nowhere`"),
        ({"text": 5}, "`text` is text and `5` is not"),
        ({"text": True}, "`text` is text"),
        ({"text|gt": 5}, "`text` is a text"),
        ({"size": "abc"}, "`size` is a number"),
        ({"size": "1*"}, "`size` is a number"),
        ({"size|contains": "1"}, "`size` is a number"),
        ({"size|re": "1"}, "`size` is a number"),
        ({"size": True}, "`size` is a number"),
        ({"flag": 1}, "`flag` is a boolean"),
        ({"flag": "true"}, "`flag` is a boolean"),
        ({"size|hour": 3}, "`size` is no time"),
        ({"text|hour|gt": 3}, "`text` is no time"),
        ({"@timestamp": "2026"}, "`@timestamp` is a time"),
        ({"@timestamp|gt": 3}, "`@timestamp` is a time"),
        ({"skipped": "x"}, "cannot be tested"),
        ({"text|re": "(?=a)"}, "RE2 refuses"),
        ({"text|re": r"(a)\1"}, "RE2 refuses"),
        ({"text|re": "(a{1000}){1000}"}, "RE2 refuses"),
        ({"text|expand": "%list%"}, "placeholders"),
        ({"nigrani.new": "calling-ae"}, "no fact of nigrani.new"),
        ({"device.class": "scanner"}, "`scanner` is no class of devices"),
        ({"source.class": ["pacs", "modalities"]}, "`modalities` is no class of devices"),
        ({"destination.class|cased": "PACS"}, "`PACS` is no class of devices"),
        ({"destination.class": 3}, "is text"),
    ],
)
def test_what_cannot_be_tested_is_refused(selection: object, message: str) -> None:
    with pytest.raises(RefusedError) as caught:
        matches(selection, kinds())
    assert message in caught.value.message
    assert caught.value.remedy


def test_a_network_of_tokens_is_a_warning() -> None:
    conditions = Conditions(FIELDS, Constants())
    assert not list(detection_refusals(conditions, {"sel": {"text|cidr": "10.0.0.0/8"}, "condition": "sel"}))
    assert "keyed token" in conditions.warnings[0][0]


def test_depth_is_bounded() -> None:
    conditions = Conditions(FIELDS, Constants())
    deep = SigmaDetections.from_dict({"sel": {"text": "a"}, "condition": "not " * 40 + "sel"})
    with pytest.raises(RefusedError, match="nests deeper"):
        conditions.read(deep.parsed_condition[0].parsed)


@settings(deadline=None)
@given(pattern=st.text("ab*?", max_size=8), text=st.text("abAB", max_size=8))
def test_wildcards_match_what_they_say(pattern: str, text: str) -> None:
    """Against the textbook recursion, absent text apart."""

    def glob(pattern: str, text: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "*":
            return any(glob(pattern[1:], text[n:]) for n in range(len(text) + 1))
        return bool(text) and pattern[0] in {"?", text[0]} and glob(pattern[1:], text[1:])

    expected = glob(pattern, text.lower()) and (bool(text) or pattern.strip("*") != "" or pattern == "")
    assert matches({"text": pattern}, kinds(text=text)) is expected
