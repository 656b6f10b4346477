from __future__ import annotations

import msgspec
import pytest

from agent.pipeline import Pipeline
from agent.privacy import Privacy
from agent.protocol import Fact
from agent.protocols import PARSERS
from nigrani.stream.codec import decode, encode
from nigrani.stream.event import Event
from nigrani.stream.events import DATASETS, AiInference, Hl7Message, NetworkDns, NetworkFlow
from tests.agent.packets import ROOT, SECOND, START, datagram, feed, frames, segment, talk

HL7 = b"\x0bMSH|^~\\&|LAB|H|EHR|H|20240101||ADT^A01|1|P|2.5\rPID|1||4711||RAO^ANITA\r\x1c\r"
LINES = (ROOT / "tests/data/first_payloads.txt").read_text().splitlines()
PAYLOADS = [line.split("\t") for line in LINES if not line.startswith("#")]


class Kept:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.writes = 0
        self.flushed = 0

    def write(self, events: list[Event]) -> None:
        self.events += events
        self.writes += 1

    def flush(self) -> None:
        self.flushed = len(self.events)


def pipeline(capacity: int = 1024, conversations: int = 64) -> tuple[Pipeline, Kept]:
    sink = Kept()
    return Pipeline(Privacy(bytes(32), agent="probe", boot="1"), sink, capacity, conversations), sink


def test_packets_become_events_in_order() -> None:
    pipe, sink = pipeline()
    feed(pipe.meter, frames(segment(1, HL7), segment(1 + len(HL7), HL7)))
    pipe.pump()
    assert [type(event) for event in sink.events] == [Hl7Message]
    pipe.close()
    first, again, flow = sink.events
    assert isinstance(first, Hl7Message)
    assert isinstance(again, Hl7Message)
    assert isinstance(flow, NetworkFlow)
    assert (first.code, first.trigger, first.count, again.count) == ("ADT", "A01", 1, 1)
    assert first.flow == again.flow == flow.flow
    assert (flow.protocol, flow.source_packets) == ("hl7", 2)
    assert [event.sequence for event in sink.events] == [0, 1, 2]
    assert pipe.events == 3
    assert b"RAO" not in b"".join(map(encode, sink.events))


def test_nothing_is_sent_where_nothing_came_out() -> None:
    pipe, sink = pipeline()
    pipe.pump()
    feed(pipe.meter, frames(datagram(("10.0.0.1", 1), ("10.0.0.2", 2))))
    pipe.pump()
    assert sink.writes == 0
    pipe.close()
    assert sink.writes == sink.flushed == 1


def test_a_piece_at_a_time_in_order() -> None:
    (pipe, sink), (whole, all_at_once) = pipeline(), pipeline()
    for one in (pipe, whole):
        feed(one.meter, [packet for port in range(10) for packet in talk("> S", client=("10.0.0.1", 2000 + port))])
        one.meter.tick(START + 20 * SECOND)
    assert [pipe.pump(4), len(sink.events)] == [True, 4]
    assert [pipe.pump(6), len(sink.events)] == [False, 10]
    assert [pipe.pump(), len(sink.events)] == [False, 10]
    whole.pump()
    assert sink.events == all_at_once.events


def test_log_facts_go_the_same_way() -> None:
    pipe, sink = pipeline()
    pipe.send([(None, Fact("ai.inference", START, {"source": "10.0.0.1", "model": "lung"}, None))])
    (event,) = sink.events
    assert isinstance(event, AiInference)
    assert (event.source, event.source_zone, event.model) == (event.host, "internal", "lung")


def test_bounds_are_the_meters() -> None:
    pipe, _ = pipeline(16, 1)
    packets = [one for port in range(40) for one in talk("> S", client=("10.0.0.1", 2000 + port))]
    feed(pipe.meter, packets)
    assert pipe.meter.counters()["evicted_flows"] > 0
    with pytest.raises(ValueError, match="at least 16"):
        pipeline(1)


@pytest.mark.parametrize("name", sorted({name for name, _ in PAYLOADS} & {parser.name for parser in PARSERS}))
def test_what_every_protocol_tells_is_an_event(name: str) -> None:
    """Privacy knows each field that a parser fills, and the codec takes what comes out."""
    transports = next(parser.transports for parser in PARSERS if parser.name == name)
    samples = [bytes.fromhex(content) for kind, content in PAYLOADS if kind == name]
    pipe, sink = pipeline(conversations=1024)
    for number, content in enumerate(samples):
        for port in (40_000 + number, 53, 88, 67, 1883, 3389, 5060, 2575, 445):
            for back in (False, True):
                client, server = ("10.0.0.1", 40_000 + number), ("10.0.0.2", port)
                if "tcp" in transports:
                    feed(pipe.meter, frames(segment(1, content, back=back, client=client, server=server)))
                if "udp" in transports:
                    source, destination = (server, client) if back else (client, server)
                    feed(pipe.meter, frames(datagram(source, destination, content)))
    pipe.close()
    assert any(isinstance(event, NetworkFlow) and event.protocol == name for event in sink.events)
    for event in sink.events:
        assert decode(encode(event)) == event


def test_a_dns_answer_keeps_its_question_apart() -> None:
    pipe, sink = pipeline()
    content = bytes.fromhex("beef01000001000000000000" + "0470616373" + "07657861706d6c65" + "00" + "00010001")
    feed(pipe.meter, frames(datagram(("10.0.0.1", 40_000), ("10.0.0.2", 53), content)))
    pipe.close()
    (question,) = [event for event in sink.events if isinstance(event, NetworkDns)]
    assert (question.question, question.question_type) == ("pacs.exapmle", "A")


def test_every_dataset_has_an_example_of_its_required_fields() -> None:
    """A fact without optional fields is an event of its dataset."""
    pipe, sink = pipeline()
    required = {
        "network.session": {"protocol": "ssh"},
        "dicom.association": {"action": "c-echo"},
        "fhir.interaction": {"interaction": "read"},
        "ai.inference": {"source": "10.0.0.1"},
        "ai.training": {"action": "round"},
        "ai.model_access": {"action": "load"},
        "dicom.audit": {"action": "query"},
    }
    logged = {"ai.inference", "ai.training", "ai.model_access", "dicom.audit"}
    datasets = [name for name in DATASETS if name not in {"network.flow", "agent.status"}]
    feed(pipe.meter, frames(segment(1)))
    pipe.meter.close()
    ends = pipe.meter.drain()[0].ends
    for name in datasets:
        pipe.send([(None if name in logged else ends, Fact(name, START, {**required.get(name, {})}, None))])
    assert [msgspec.json.decode(encode(event))["event.dataset"] for event in sink.events] == datasets
