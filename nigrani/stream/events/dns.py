"""`network.dns`: a question and its answer's code, with features of the name in place of the name."""

from __future__ import annotations

from msgspec import field

from nigrani.stream.event import Conversation, Count, Domain, Word


class NetworkDns(Conversation, kw_only=True, tag="network.dns"):
    """One DNS question (RFC 1035 §4.1.2) and, once seen, its response code."""

    question: Domain = field(name="dns.question.name", default="")
    """As much of the name as the site's policy lets out."""
    question_type: Word = field(name="dns.question.type", default="")
    rcode: Word = field(name="dns.response_code", default="")
    """NOERROR, NXDOMAIN, …; empty on the question alone."""
    answers: Count = field(name="dns.answers_count", default=0)
    name_length: Count = field(name="nigrani.dns.name_length", default=0)
    labels: Count = field(name="nigrani.dns.labels", default=0)
    longest_label: Count = field(name="nigrani.dns.longest_label", default=0)
    digits: Count = field(name="nigrani.dns.digits", default=0)
    entropy: Count = field(name="nigrani.dns.entropy", default=0)
    """Shannon entropy of the name's characters, in thousandths of a bit."""
    response_bytes: Count = field(name="nigrani.dns.response_bytes", default=0)
