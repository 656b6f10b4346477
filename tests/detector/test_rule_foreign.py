"""Rules for Zeek, DNS, proxy and web server logs: they match what they mean on our events, or say that they never can."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from detector.rule_field import fields
from detector.rule_foreign import CATEGORIES, REASONS, ZEEK, foreign_logsource
from detector.ruleset import RuleSet
from tests.detector.rule_files import load, rule

if TYPE_CHECKING:
    from detector.rule_loader import Loader
    from nigrani.stream.event import Event
    from tests.detector.conftest import Maker

DNS = {"category": "dns"}


def zeek(service: str) -> dict[str, str]:
    return {"product": "zeek", "service": service}


def foreign(folder: Path, logsource: dict[str, str], condition: str = "selection", **selections: Any) -> Loader:
    loader = load(folder, rule(logsource=logsource, detection={**selections, "condition": condition}))
    assert not loader.faults
    return loader


def matches(loader: Loader, event: Event) -> bool:
    return bool(RuleSet(loader).match(event))


def warnings(loader: Loader) -> str:
    return "\n".join(str(warning) for warning in loader.warnings)


@pytest.mark.parametrize("logsource", [*ZEEK.values(), *CATEGORIES.values()])
def test_every_field_of_ours_that_is_named_exists(logsource: Any) -> None:
    if logsource.dataset:
        known = fields(logsource.dataset)
        assert set(logsource.fields.values()) <= known.keys()
        assert set(logsource.words) <= known.keys()
        assert logsource.only is None or logsource.only[0] in known
    assert not logsource.fields.keys() & REASONS.keys()


def test_logsources() -> None:
    assert foreign_logsource(zeek("dns")) is ZEEK["dns"]
    assert foreign_logsource({"category": "proxy"}) is ZEEK["http"]
    for ours in ({"product": "healthcare", "service": "dns"}, {"service": "dns"}, {"product": "zeek"}, {}):
        assert foreign_logsource(ours) is None
    assert foreign_logsource(zeek("syslog")) is None, "refused as any unknown service"


class TestNames:
    """Of a DNS name, the last two labels leave the host unless a site wants more."""

    @pytest.mark.parametrize(
        ("name", "there"), [("evil.example", True), ("a.evil.example", True), ("notevil.example", False), ("", False)]
    )
    def test_the_end_of_a_name_is_found_in_what_is_left_of_it(
        self, make: Maker, tmp_path: Path, name: str, there: bool
    ) -> None:
        loader = foreign(tmp_path, DNS, selection={"query|endswith": [".evil.example"]})
        assert matches(loader, make.dns(question=name)) is there
        assert not loader.warnings

    def test_a_top_level_domain(self, make: Maker, tmp_path: Path) -> None:
        loader = foreign(tmp_path, zeek("dns"), selection={"query|endswith": ".onion"})
        assert matches(loader, make.dns(question="abc.onion"))
        assert not matches(loader, make.dns(question="onion.example"))

    def test_longer_names_match_where_whole_names_are_kept(self, make: Maker, tmp_path: Path) -> None:
        loader = foreign(tmp_path, DNS, selection={"query": ["api.chat.example", "a.b.c.example", "evil.example"]})
        assert matches(loader, make.dns(question="api.chat.example"))
        assert not matches(loader, make.dns(question="chat.example"))
        assert warnings(loader).count("\n") == 0
        assert "2 of the names (`api.chat.example`, `a.b.c.example`) can match only where" in warnings(loader)

    def test_an_exclusion_on_the_name(self, make: Maker, tmp_path: Path) -> None:
        selections = {
            "selection": {"query|endswith": ".evil.example"},
            "filter_main": {"query|contains": "polling.evil.example"},
        }
        loader = foreign(tmp_path, DNS, "selection and not 1 of filter_main*", **selections)
        assert matches(loader, make.dns(question="evil.example"))
        assert not matches(loader, make.dns(question="polling.evil.example"))

    def test_types_and_ports(self, make: Maker, tmp_path: Path) -> None:
        selections = {"selection": {"record_type": "txt"}, "netbios": {"id.resp_p": [137, 138]}}
        loader = foreign(tmp_path, zeek("dns"), "selection and not netbios", **selections)
        assert matches(loader, make.dns(question_type="TXT", destination_port=53))
        assert not matches(loader, make.dns(question_type="TXT", destination_port=137))


class TestWhatIsNotHeld:
    def test_a_rule_that_needs_it_never_matches_and_says_why(self, make: Maker, tmp_path: Path) -> None:
        loader = foreign(tmp_path, DNS, selection={"record_type": "TXT", "answer|contains": "cmd.exe"})
        assert not matches(loader, make.dns(question_type="TXT"))
        assert "can never match" in warnings(loader)
        assert "`answer`: answers are counted and not kept" in warnings(loader)
        assert len(loader.rules) == 1, "it is loaded all the same"

    def test_its_opposite_is_no_match_either(self, make: Maker, tmp_path: Path) -> None:
        """Else `not unset` on a field that is never there would tell of every event."""
        selections = {"unset": {"Z": 0}, "named": {"query|contains": "."}}
        loader = foreign(tmp_path, zeek("dns"), "not unset and named", **selections)
        assert not matches(loader, make.dns(question="evil.example"))
        assert "`Z`: our events hold nothing of the kind" in warnings(loader)

    def test_another_way_to_match_is_left(self, make: Maker, tmp_path: Path) -> None:
        selections = {"path": {"uri|endswith": ".exe"}, "agent": {"user_agent": "curl"}}
        loader = foreign(tmp_path, zeek("http"), "path or agent", **selections)
        assert matches(loader, make.session(client="curl"))
        assert not matches(loader, make.session(client="Mozilla"))

    def test_an_exclusion_that_cannot_be_asked_is_left_out(self, make: Maker, tmp_path: Path) -> None:
        selections = {"selection": {"query|endswith": "pool.example"}, "exclude_answers": {"answers": ["127.0.0.1"]}}
        loader = foreign(tmp_path, zeek("dns"), "selection and not 1 of exclude_*", **selections)
        assert matches(loader, make.dns(question="pool.example"))
        assert "an exclusion is left out" in warnings(loader)

    def test_a_rule_of_exclusions_alone_does_not_tell_of_everything(self, make: Maker, tmp_path: Path) -> None:
        loader = foreign(tmp_path, zeek("dns"), "not filter", filter={"answers": "127.0.0.1"})
        assert not matches(loader, make.dns(question="a.example"))
        assert "can never match" in warnings(loader)

    def test_a_search_in_free_text(self, make: Maker, tmp_path: Path) -> None:
        loader = foreign(tmp_path, {"category": "webserver"}, "keywords", keywords=["/Basic/Command/", "${jndi"])
        assert not matches(loader, make.session(client="/Basic/Command/"))
        assert "our events have no free text to search" in warnings(loader)

    @pytest.mark.parametrize("service", [name for name, logsource in ZEEK.items() if not logsource.dataset])
    def test_logs_of_which_there_is_nothing(self, tmp_path: Path, service: str) -> None:
        assert "can never match" in warnings(foreign(tmp_path, zeek(service), selection={"operation": "x"}))

    def test_a_token_is_never_a_word(self, make: Maker, tmp_path: Path) -> None:
        loader = foreign(tmp_path, zeek("ssh"), selection={"id.orig_h": "10.1.2.3"})
        assert "`source.address` leaves the host as a keyed token, and is never `10.1.2.3`" in warnings(loader)
        assert "can never match" in warnings(loader)
        loader = foreign(tmp_path, zeek("ssh"), selection={"id.orig_h": "ip:abc"})
        assert not loader.warnings
        assert matches(loader, make.session(protocol="ssh", source="ip:abc"))

    def test_a_whole_user_agent(self, tmp_path: Path) -> None:
        loader = foreign(
            tmp_path, {"category": "proxy"}, selection={"c-useragent": "Mozilla/5.0 (X11)", "cs-method": "POST"}
        )
        assert "has more than the product of a user agent" in warnings(loader)
        assert "can never match" in warnings(loader)


class TestRequests:
    def test_only_requests_stand_in_a_proxys_log(self, make: Maker, tmp_path: Path) -> None:
        loader = foreign(tmp_path, {"category": "proxy"}, selection={"c-useragent": ""})
        assert matches(loader, make.session(client=""))
        assert not matches(loader, make.session(client="curl"))
        assert not matches(loader, make.session(protocol="smb2", client=""))

    def test_product_method_and_status(self, make: Maker, tmp_path: Path) -> None:
        selection = {"user_agent|contains": "WebDAV", "method": "PUT", "status_code": [200, 201]}
        loader = foreign(tmp_path, zeek("http"), selection=selection)
        assert matches(loader, make.session(client="Microsoft-WebDAV-MiniRedir", action="PUT", status="201"))
        assert not matches(loader, make.session(client="Microsoft-WebDAV-MiniRedir", action="PUT", status="403"))

    def test_private_networks_are_told_by_the_zone(self, make: Maker, tmp_path: Path) -> None:
        private = {"id.resp_h|cidr": ["10.0.0.0/8", "192.168.0.0/16", "2620:83:8000::/48"]}
        selections = {"selection": {"method": "PUT"}, "filter": private}
        loader = foreign(tmp_path, zeek("http"), "selection and not filter", **selections)
        assert matches(loader, make.session(action="PUT", destination_zone="internet"))
        assert not matches(loader, make.session(action="PUT", destination_zone="imaging"))

    def test_a_network_of_the_world_is_no_zone(self, make: Maker, tmp_path: Path) -> None:
        loader = foreign(tmp_path, zeek("rdp"), selection={"id.orig_h|cidr": "8.8.8.0/24"})
        assert not matches(loader, make.session(protocol="rdp", source_zone="internet"))
        assert "lies in no network" in warnings(loader)

    def test_their_words_are_ours(self, make: Maker, tmp_path: Path) -> None:
        loader = foreign(tmp_path, zeek("kerberos"), selection={"request_type": "TGS", "cipher": "rc4-hmac"})
        assert matches(loader, make.session(protocol="kerberos", action="TGS-REP", encryption="rc4"))
        assert not matches(loader, make.session(protocol="kerberos", action="AS-REP", encryption="rc4"))
        assert not matches(loader, make.session(protocol="kerberos", action="TGS-REP", encryption="aes256"))

    def test_flows(self, make: Maker, tmp_path: Path) -> None:
        loader = foreign(tmp_path, zeek("conn"), selection={"conn_state": "REJ", "orig_bytes|gt": 10, "service": "ssl"})
        assert matches(loader, make.flow(state="REJ", source_payload=11, protocol="tls"))
        assert not matches(loader, make.flow(state="REJ", source_payload=10, protocol="tls"))


def test_a_comparison_that_does_not_fit_our_field_is_no_fault(tmp_path: Path) -> None:
    loader = foreign(tmp_path, zeek("http"), selection={"status_code|gte": 500})
    assert "nigrani.session.status" in warnings(loader)
    assert "can never match" in warnings(loader)


def test_keys_that_we_do_not_know_are_theirs(tmp_path: Path) -> None:
    document = rule(logsource=zeek("dns"), detection={"s": {"query": "a.example"}, "condition": "s"})
    assert not load(tmp_path, {**document, "regression_tests_path": "x", "simulation": [{"type": "y"}]}).faults


def test_a_filter_for_the_same_log_suppresses(make: Maker, tmp_path: Path) -> None:
    allowed = {
        "title": "Ours",
        "logsource": DNS,
        "filter": {"rules": ["query"], "own": {"query": "a.example"}, "condition": "not own"},
    }
    wide = rule(logsource=DNS, detection={"s": {"query|endswith": ".example"}, "condition": "s"})
    loader = load(tmp_path, wide, allowed)
    assert not loader.faults
    assert not matches(loader, make.dns(question="a.example"))
    assert matches(loader, make.dns(question="b.example"))


def test_what_matched_is_told_in_our_words(make: Maker, tmp_path: Path) -> None:
    loader = foreign(tmp_path, DNS, selection={"query|endswith": ".evil.example"})
    [hit] = RuleSet(loader).match(make.dns(question="evil.example"))
    assert hit.because == (("dns.question.name", "evil.example"),)


def test_a_pattern_of_death_is_refused_here_too(tmp_path: Path) -> None:
    loader = load(tmp_path, rule(logsource=DNS, detection={"s": {"query|re": "(?=a)b"}, "condition": "s"}))
    assert "RE2 refuses the pattern" in loader.faults[0].message
