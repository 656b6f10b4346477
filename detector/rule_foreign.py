"""Rules that were written for other logs (Zeek, DNS, proxies, web servers), read as questions to our events.

Our events hold less than those logs, on purpose. A test of what they do not hold is neither true nor false, so a rule
that needs it never matches, and says so when it is loaded; but a selection called `filter…` or `exclude…` only takes
away, and is left out where it cannot be asked. Field names of ours may stand beside theirs.

Field names: Zeek's log reference, and Sigma's taxonomy appendix for `dns`, `proxy`, `webserver` and `firewall`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Any, NamedTuple

from sigma.conditions import (
    ConditionFieldEqualsValueExpression,
    ConditionIdentifier,
    ConditionValueExpression,
    ParentChainMixin,
)
from sigma.types import SigmaCIDRExpression, SigmaNumber, SigmaString, SigmaType, SpecialChars

from detector.condition import Conditions
from detector.rule import RefusedError
from detector.rule_field import Field, Kind, fields
from detector.rule_tree import FALSE, Constants, Node, Not, Test, Unknown
from detector.rule_tree import All as AllOf
from nigrani.stream.events import DATASETS
from nigrani.stream.schema import privacy_classes

EXCLUSIONS = ("filter", "exclude", "exclusion", "_filt_")
"""Names of selections that only take away begin with one of these; the last is of the site's own filters."""

TOKENS = frozenset({"address", "mac", "user", "study"})
"""Privacy classes that leave the host as keyed tokens alone."""

PRIVATE = [
    ip_network(text)
    for text in (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8", "fc00::/7",
        "fe80::/10", "::1/128",
    )
]  # fmt: skip
"""What an agent never calls `internet`, whatever zones its site has."""

OUTSIDE = frozenset({"", "internet"})

Words = Mapping[str, tuple[str, ...]]


class Logsource(NamedTuple):
    """One kind of log of others', and what of it our events hold."""

    dataset: str
    """Empty where nothing of ours tells of it."""
    fields: Mapping[str, str] = {}
    """Their field → ours."""
    only: tuple[str, tuple[str, ...]] | None = None
    """Field of ours, and how its value begins, of the events that would stand in that log."""
    words: Mapping[str, Words] = {}
    """Field of ours → their word, in small letters → ours."""


_ENDS = {
    "id.orig_h": "source.address",
    "id.orig_p": "source.port",
    "id.resp_h": "destination.address",
    "id.resp_p": "destination.port",
    "src_ip": "source.address",
    "src_port": "source.port",
    "dst_ip": "destination.address",
    "dst_port": "destination.port",
}
_QUESTION = {
    "query": "dns.question.name",
    "QueryName": "dns.question.name",
    "qtype_name": "dns.question.type",
    "record_type": "dns.question.type",
    "rcode_name": "dns.response_code",
    "response_code": "dns.response_code",
}
_AGENT = dict.fromkeys(("user_agent", "c-useragent", "cs-user-agent", "c-user-agent"), "user_agent.name")
_REQUEST = {
    **_AGENT,
    **dict.fromkeys(("method", "cs-method", "c-method"), "event.action"),
    **dict.fromkeys(("status_code", "sc-status"), "nigrani.session.status"),
    **dict.fromkeys(("c-ip", "src_ip"), "source.address"),
    **dict.fromkeys(("s-ip", "dst_ip"), "destination.address"),
    "s-port": "destination.port",
}
_TICKETS: Mapping[str, Words] = {
    "event.action": {"as": ("AS-REQ", "AS-REP"), "tgs": ("TGS-REQ", "TGS-REP"), "ap": ("AP-REQ", "AP-REP")},
    "kerberos.encryption": {
        "rc4-hmac": ("rc4",),
        "aes128-cts-hmac-sha1-96": ("aes128",),
        "aes256-cts-hmac-sha1-96": ("aes256",),
        "des-cbc-md5": ("des",),
        "des-cbc-crc": ("des",),
        "des3-cbc-sha1": ("des3",),
    },
    "event.outcome": {"t": ("success",), "true": ("success",), "f": ("failure",), "false": ("failure",)},
}


def _session(protocol: str, names: Mapping[str, str], words: Mapping[str, Words] | None = None) -> Logsource:
    return Logsource("network.session", {**_ENDS, **names}, ("network.protocol", (protocol,)), words or {})


ZEEK: dict[str, Logsource] = {
    "dns": Logsource("network.dns", {**_ENDS, **_QUESTION}),
    "http": _session("http", _REQUEST),
    "ssl": _session(
        "tls", {"server_name": "tls.client.server_name", "version": "tls.version", "next_protocol": "tls.next_protocol"}
    ),
    "ssh": _session("ssh", {"client": "nigrani.session.client_software", "server": "nigrani.session.server_software"}),
    "sip": _session("sip", {**_AGENT, "method": "event.action", "status_code": "nigrani.session.status"}),
    "kerberos": _session(
        "kerberos",
        {
            "request_type": "event.action",
            "cipher": "kerberos.encryption",
            "service": "kerberos.service",
            "client": "user.name",
            "success": "event.outcome",
        },
        _TICKETS,
    ),
    "rdp": _session(
        "rdp", {"client_build": "nigrani.session.client_software", "client_name": "nigrani.session.client_name"}
    ),
    "smb_files": _session("smb", {"path": "smb.share"}),
    "smb_mapping": _session("smb", {"path": "smb.share"}),
    "dhcp": _session("dhcp", {"mac": "dhcp.client_mac", "host_name": "nigrani.session.client_name"}),
    "conn": Logsource(
        "network.flow",
        {
            **_ENDS,
            "proto": "network.transport",
            "service": "network.protocol",
            "conn_state": "nigrani.flow.state",
            "orig_bytes": "nigrani.source.payload_bytes",
            "resp_bytes": "nigrani.destination.payload_bytes",
            "orig_pkts": "source.packets",
            "resp_pkts": "destination.packets",
            "orig_ip_bytes": "source.bytes",
            "resp_ip_bytes": "destination.bytes",
        },
        words={"network.protocol": {"ssl": ("tls",), "smb": ("smb2",), "krb": ("kerberos",)}},
    ),
    "dce_rpc": Logsource(""),
    "x509": Logsource(""),
    "files": Logsource(""),
}
"""Zeek's logs by name."""

CATEGORIES: dict[str, Logsource] = {
    "dns": ZEEK["dns"],
    "proxy": ZEEK["http"],
    "webserver": ZEEK["http"],
    "firewall": ZEEK["conn"],
}

REASONS: dict[str, str] = {
    **dict.fromkeys(
        (
            "uri", "c-uri", "cs-uri", "c-uri-path", "c-uri-query", "c-uri-stem", "c-uri-extension", "cs-uri-query",
            "cs-uri-stem", "request_uri", "referrer", "referer", "cs-referer", "cs-referrer",
        ),
        "no path and no query of a request leaves the host",
    ),
    **dict.fromkeys(("answer", "answers"), "answers are counted and not kept"),
    **dict.fromkeys(("host", "cs-host", "c-host", "r-dns"), "the host that a request names is not kept"),
    **dict.fromkeys(("name", "prev_name"), "no name of a file leaves the host"),
    **dict.fromkeys(("cookie", "cs-cookie", "c-cookie"), "no cookie leaves the host"),
    **dict.fromkeys(("username", "password", "cs-username"), "credentials are not read"),
}  # fmt: skip
"""Their field → why our events do not hold it."""
NOT_HELD = "our events hold nothing of the kind"

FULL = "only where the agents' `privacy.domains` is full: by default the last two labels of a name leave the host"


def foreign_logsource(logsource: Mapping[str, Any]) -> Logsource | None:
    """What a rule's logsource of others' is of ours; None for our own, and for what is neither."""
    product, service, category = (logsource.get(key) for key in ("product", "service", "category"))
    if product == "zeek" and isinstance(service, str):
        return ZEEK.get(service)
    if isinstance(category, str) and service is None:
        return CATEGORIES.get(category)
    return None


class ForeignConditions(Conditions):
    """Reads conditions on logs of others' into trees on one dataset of ours."""

    keywords = True

    def __init__(self, logsource: Logsource, constants: Constants) -> None:
        own = fields(logsource.dataset) if logsource.dataset else {}
        super().__init__(own | {theirs: own[ours] for theirs, ours in logsource.fields.items()}, constants)
        self._logsource = logsource
        self._classes = privacy_classes(DATASETS[logsource.dataset]) if logsource.dataset else {}
        self.false: set[Node] = set()
        """What was read and can never hold, for all that the agents send."""
        self.missing: dict[str, str] = {}
        """What was asked and our events do not hold, and why they do not."""
        self._long: list[str] = []

    def only(self, node: Node) -> Node:
        """The condition, on those events alone that would stand in the log it was written for."""
        if self._logsource.only is None:
            return node
        name, starts = self._logsource.only
        held: Node = super().values(name, [_prefix(start) for start in starts])
        return AllOf((held, *node.parts)) if isinstance(node, AllOf) else AllOf((held, node))

    def read(self, condition: object, depth: int = 0) -> Node:
        """See `Conditions`; what cannot be asked is unknown, and false where it would only take away."""
        if isinstance(condition, ConditionValueExpression):
            return self._unknown(condition, "", "our events have no free text to search")
        if isinstance(condition, ConditionFieldEqualsValueExpression) and condition.field not in self._fields:
            return self._unknown(condition, condition.field, REASONS.get(condition.field, NOT_HELD))
        return super().read(condition, depth)

    def _unknown(self, condition: ParentChainMixin, name: str, reason: str) -> Node:
        self.missing[f"`{name}`" if name else "a search without a field"] = reason
        return FALSE if _selection(condition).startswith(EXCLUSIONS) else Unknown(reason)

    def values(self, name: str, values: Sequence[SigmaType]) -> Node:
        """See `Conditions`; in our words, and unknown where the field is not ours or holds another kind."""
        if name not in self._fields:
            return Unknown(REASONS.get(name, NOT_HELD))
        field = self._fields[name]
        try:
            node = super().values(name, [ours for value in values for ours in self._ours(field, value)])
        except RefusedError as error:
            self._warn(error.message, error.remedy)
            return Unknown(error.message)
        impossible = [self._impossible(field, value) for value in values]  # each, for what it warns of
        if all(impossible):
            self.false.add(node)
        return node

    def _ours(self, field: Field, value: SigmaType) -> Sequence[SigmaType]:
        """Their value as our events have it."""
        if field.kind is Kind.TEXT and type(value) is SigmaNumber:
            value = SigmaString(str(value.number))
        if not isinstance(value, SigmaString):
            return [value]
        known = self._logsource.words.get(field.name, {}).get(str(value).lower())
        if known:
            return [SigmaString(word) for word in known]
        if self._classes.get(field.name) == "domain" and _suffix(value).startswith("."):
            return [value, SigmaString(_suffix(value)[1:])]  # of `x.evil.example` the agent may send `evil.example` alone
        return [value]

    def _impossible(self, field: Field, value: SigmaType) -> bool:
        """Whether no event can have the value, for what privacy does to the field; warns where that is so or may be."""
        text = str(value).strip("*") if isinstance(value, SigmaString) else ""
        if not text:
            return False
        privacy = self._classes.get(field.name, "")
        if privacy in TOKENS and ":" not in text:
            self._warn(f"`{field.name}` leaves the host as a keyed token, and is never `{text[:60]}`", "test another field")
            return True
        if privacy == "name":
            self._warn(
                f"`{field.name}` leaves the host as a keyed token, unless the agents' privacy keeps it",
                "see docs/privacy.md",
            )
        if privacy == "domain" and _labels(text) + (text.startswith(".") and not _suffix(value)) > 2:
            self._warn_of_full(text)
        if field.name == "user_agent.name" and (" " in text or "/" in text):
            self._warn(
                f"`{text[:60]}` has more than the product of a user agent, and no more leaves the host",
                "test the product alone",
            )
            return True
        return False

    def _network(self, field: Field, value: SigmaCIDRExpression) -> Node:
        """Whether an address is private, as far as its zone tells."""
        zone = self._fields.get(f"nigrani.{field.name.replace('address', 'zone')}")
        net: Any = value.network
        if zone is None or not any(net.subnet_of(private) for private in PRIVATE if net.version == private.version):
            return super()._network(field, value)
        name = self._constants.name(OUTSIDE)
        return Not(Test(zone, zone.access, f"{{}} in {name}"))

    def _warn_of_full(self, text: str) -> None:
        """One warning for all names that are longer than what leaves a host by default."""
        self._long = list(dict.fromkeys([*self._long, text]))
        some = ", ".join(f"`{name[:60]}`" for name in self._long[:3]) + (", …" if len(self._long) > 3 else "")
        told = f"{len(self._long)} of the names ({some}) can match {FULL}"
        self.warnings = [warning for warning in self.warnings if FULL not in warning[0]]
        self._warn(told, "")

    def _warn(self, message: str, remedy: str) -> None:
        self.warnings.append((message, remedy or "leave it out, or write the rule for our own service"))


def _prefix(text: str) -> SigmaString:
    return SigmaString(f"{text}*")


def _suffix(value: SigmaType) -> str:
    """The text of `*text`; empty for another shape."""
    match value:
        case SigmaString(s=(SpecialChars.WILDCARD_MULTI, str(text))):
            return text
    return ""


def _labels(text: str) -> int:
    return text.strip(".").count(".") + 1


def _selection(condition: ParentChainMixin | None) -> str:
    """Name of the selection that a test is in."""
    while condition is not None and not isinstance(condition, ConditionIdentifier):
        condition = condition.parent
    return condition.identifier if condition is not None else ""
