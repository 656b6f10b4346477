"""Constants are kept apart from the source that names them."""

from ipaddress import ip_network

import pytest

from detector import rule_tree
from detector.rule import RefusedError
from detector.rule_field import fields
from detector.rule_tree import Constants, compile_pattern, in_network

FIELD = fields("dicom.association")["dicom.contexts"]


def test_a_constant_has_one_name_and_types_do_not_mix() -> None:
    constants = Constants()
    names = [constants.name(value) for value in (1, "a", 1, True, 1.0, "a")]
    assert names == ["k0", "k1", "k0", "k2", "k3", "k1"]
    assert [type(constants.values[name]) for name in names[:5]] == [int, str, int, bool, float]


def test_a_pattern_is_no_text() -> None:
    constants = Constants()
    assert constants.pattern("a") != constants.name("a")
    assert constants.pattern("a") == constants.pattern("a")


@pytest.mark.parametrize("pattern", ["[", "(?=a)", r"(a)\1", "(a{1000}){1000}", "a{1001}"])
def test_re2_refuses(pattern: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RefusedError, match="RE2 refuses"):
        compile_pattern(pattern)
    assert capfd.readouterr().err == ""


def test_no_unicode() -> None:
    with pytest.raises(RefusedError, match="Unicode"):
        compile_pattern("\ud800")


def test_an_evil_pattern_is_linear() -> None:
    assert compile_pattern("(a+)+$").search("a" * 100_000 + "b") is None


def test_the_operand_takes_its_place() -> None:
    test = rule_tree.Test(FIELD, "event.contexts", "({} and {} > k0)")
    assert test.source() == "(event.contexts and event.contexts > k0)"
    assert test.source("text0") == "(text0 and text0 > k0)"


def test_networks() -> None:
    assert in_network("10.0.0.1", ip_network("10.0.0.0/8"))
    assert not in_network("2001:db8::1", ip_network("10.0.0.0/8"))
    assert not in_network("ip:abc", ip_network("10.0.0.0/8"))
