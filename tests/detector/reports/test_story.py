"""What all reports tell alike."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from detector.cases.case import Deadline
from detector.reports import story
from detector.reports.document import Document
from tests.detector.reports.made import DEVICE, PEER, WHEN, a_case, a_finding, an_entry


def test_seen_in_the_order_of_time() -> None:
    late = a_finding(
        "late", when=WHEN + timedelta(minutes=1), because=["41 ports"], about=["a → b"], attacks=["T1046"], events=["e1"]
    )
    told = story.seen([late, a_finding("early")])
    assert [one.finding.uid for one in told] == ["early", "late"]
    assert told[1].why == ("41 ports",)
    assert told[1].who == ("a → b",)
    assert told[1].attacks == (("T1046", "ATT&CK v19"),)
    assert told[1].events == ("e1",)
    assert told[1].rule.startswith("a11c0239")


@given(st.binary(max_size=60) | st.sampled_from([b"{}", b"[]", b'{"unmapped":{"because":7}}', b'{"finding_info":null}']))
def test_a_finding_that_cannot_be_read_is_told_as_the_store_has_it(ocsf: bytes) -> None:
    document = Document("T")
    story.tell_seen(document, a_case(), story.seen([a_finding(ocsf=ocsf)]))
    assert "Port scan (high)" in document.text()


def test_a_storm_is_told_in_bounds() -> None:
    findings = [a_finding(f"f{number}", when=WHEN + timedelta(seconds=number), because=["x"] * 50) for number in range(500)]
    document = Document("T")
    story.tell_seen(document, a_case(findings=500), story.seen(findings))
    text = document.text()
    assert text.count("(high), about") == story.SHOWN
    assert "**And 460 findings more**, about 1 devices" in text
    assert "460 × Port scan" in text
    assert "were read" not in text
    cut = Document("T")
    story.tell_seen(cut, a_case(findings=501), story.seen(findings))
    assert "Of 501 findings the newest 500 were read" in cut.text()
    assert "and 44 lines more" in text


def test_nothing_left_is_said() -> None:
    document = Document("T")
    story.tell_seen(document, a_case(), [])
    assert "not known to nigrani" in document.text()


def test_the_clock() -> None:
    def told(deadline: Deadline | None, minutes: float) -> str:
        document = Document("T")
        deadlines = (deadline,) if deadline else ()
        story.tell_clock(document, a_case(deadlines=deadlines), "cert-in", WHEN + timedelta(minutes=minutes))
        return document.text()

    assert "**22/11/2026 18:18 IST (22/11/2026 12:48 UTC)**" in told(None, 1)
    assert "**5 h 59 min left**" in told(None, 1)
    assert "**over by 1 h 00 min**" in told(None, 7 * 60)
    due = WHEN + timedelta(hours=6)
    assert "sent already" in told(Deadline("cert-in", due, "sent", "CERTIn-1|2"), 1)
    assert "CERTIn-1\\|2" in told(Deadline("cert-in", due, "sent", "CERTIn-1|2"), 1)
    assert "no report is needed" in told(Deadline("cert-in", due, "not-needed"), 1)
    assert "direction (ii)" in told(None, 1)


def test_done_is_what_people_did() -> None:
    document = Document("T")
    history = [
        an_entry("opened", "Port scan"),
        an_entry("acknowledged"),
        an_entry("noted", "**off** | the net", 65),
        an_entry("viewed-finding", "f1"),
        an_entry("exported", "draft"),
    ]
    story.tell_done(document, history)
    text = document.text()
    assert (
        "- 22/11/2026 12:23:24 IST: asha took the case\n- 22/11/2026 13:23:24 IST: asha noted: \\*\\*off\\*\\* \\| the net"
        in text
    )
    assert "viewed" not in text
    assert "draft\n" not in text
    empty = Document("T")
    story.tell_done(empty, history[:1])
    assert "tells of nothing yet" in empty.text()


def test_tokens_are_listed_with_the_command_that_reveals_them() -> None:
    told = story.seen(
        [a_finding(about=[f"{DEVICE} → {PEER} port 104", "calling AE ae:27415613e7332d61", "ip:nothex0000000000"])]
    )
    assert story.tokens_of(a_case(), told) == [DEVICE, PEER, "ae:27415613e7332d61"]
    document = Document("T")
    story.tell_tokens(document, a_case(), told, "CERT-In report")
    assert f"--reason 'case 17, CERT-In report' {DEVICE} {PEER} ae:27415613e7332d61`" in document.text()
    none = Document("T")
    story.tell_tokens(none, a_case(device="x"), [], "CERT-In report")
    assert "names no token" in none.text()


def test_no_more_tokens_than_reveal_takes_at_once() -> None:
    about = [f"ip:{number:016x}" for number in range(300)]
    assert len(story.tokens_of(a_case(), story.seen([a_finding(about=about)]))) == story.TOKENS == 100
