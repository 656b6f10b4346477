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


def ask(number: int) -> rule_tree.Test:
    return rule_tree.Test(FIELD, "event.contexts", f"{{}} == k{number}", says=f"t{number}")


A, B = ask(0), ask(1)
DARK = rule_tree.Unknown("nobody says")
ALWAYS = rule_tree.All(())


@pytest.mark.parametrize(
    ("node", "sure"),
    [
        (A, A),
        (DARK, None),
        (rule_tree.Not(DARK), None),
        (rule_tree.All((A, DARK)), None),
        (rule_tree.Not(rule_tree.All((A, DARK))), rule_tree.Any((rule_tree.Not(A),))),
        (rule_tree.Any((A, DARK)), rule_tree.Any((A,))),
        (rule_tree.Not(rule_tree.Any((A, DARK))), None),
        (rule_tree.Not(rule_tree.Not(A)), A),
        (rule_tree.FALSE, None),
        (rule_tree.Not(rule_tree.FALSE), ALWAYS),
        (rule_tree.All((A, rule_tree.Not(rule_tree.FALSE))), rule_tree.All((A,))),
        (rule_tree.Any((A, rule_tree.Not(rule_tree.FALSE))), ALWAYS),
    ],
)
def test_what_is_sure_of_what_is_partly_unknown(node: rule_tree.Node, sure: rule_tree.Node | None) -> None:
    assert rule_tree.settled(node) == sure


def test_what_never_holds_is_no_way_to_match() -> None:
    assert rule_tree.settled(rule_tree.All((A, B)), frozenset({B})) is None
    assert rule_tree.settled(rule_tree.Any((A, B)), frozenset({B})) == rule_tree.Any((A,))
    assert rule_tree.settled(rule_tree.All((A, rule_tree.Not(B))), frozenset({B})) == rule_tree.All((A,))


def test_conditions_in_words() -> None:
    node = rule_tree.All((rule_tree.Any((A, B)), rule_tree.Not(rule_tree.All((A, B)))))
    assert rule_tree.in_words(node) == "(t0 or t1) and not (t0 and t1)"
    assert rule_tree.in_words(DARK) == "what our events do not tell (nobody says)"
    assert rule_tree.in_words(rule_tree.FALSE) == "never"
