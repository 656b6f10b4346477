"""What is wrong with Kafka, in one word for a metric and one sentence for a person.

The clients tell a broken certificate, a wrong password and a dead broker apart in their logs at best; at the caller all of
them end as a timeout. So `diagnose` goes and looks: name, port and handshake of each configured server.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from nigrani.stream.kafka.settings import Connection, Tls

KINDS = (
    "unreachable",
    "certificate",
    "authentication",
    "authorization",
    "topic",
    "timeout",
    "refused",
    "stalled",
    "other",
)
"""Closed: the values of a metric's label."""
LOOK_SECONDS = 3.0
"""For one server's connection and handshake."""
LOOK_SERVERS = 4
"""At most; it takes long enough where each of them is frozen."""
ALERT_SECONDS = 1.0
"""How long a server may take to say that it does not take our certificate: with TLS 1.3 that comes after the handshake."""

_REMEDY = {
    "unreachable": "check that the brokers run, kafka.servers, name resolution and the firewall",
    "certificate": "check kafka.tls: ca, certificate, key, their dates, and the name in the broker's certificate",
    "authentication": "check kafka.sasl: user, password file and mechanism",
    "authorization": "give this user the rights WRITE and DESCRIBE (READ, to consume) on it",
    "topic": "create it, or correct its name in the configuration",
    "timeout": "check the brokers' load and the network; what is not acknowledged is sent again",
    "refused": "look into the dead letters; compare the topic's max.message.bytes and message.timestamp settings",
    "stalled": "bring the missing brokers back: the topic has fewer replicas in sync than min.insync.replicas",
    "other": "see the brokers' log",
}
_SAYS = {
    "unreachable": "{servers}: no broker can be reached",
    "certificate": "{servers}: TLS does not come about",
    "authentication": "{servers}: user or password is not accepted",
    "authorization": "the brokers do not allow this user on {topic}",
    "topic": "{topic} does not exist",
    "timeout": "{servers}: no answer in time",
    "refused": "{topic} refuses a record for good",
    "stalled": "{topic} takes nothing now",
    "other": "{servers}: Kafka reports a fault",
}
_NAMED = {
    "unreachable": "KafkaConnectionError NodeNotReadyError MetadataEmptyBrokerList BrokerNotAvailableError "
    "NetworkExceptionError _TRANSPORT _RESOLVE _ALL_BROKERS_DOWN BROKER_NOT_AVAILABLE NETWORK_EXCEPTION",
    "certificate": "_SSL",
    "authentication": "SaslAuthenticationFailedError UnsupportedSaslMechanismError IllegalSaslStateError _AUTHENTICATION "
    "SASL_AUTHENTICATION_FAILED UNSUPPORTED_SASL_MECHANISM ILLEGAL_SASL_STATE",
    "authorization": "AuthorizationError TopicAuthorizationFailedError ClusterAuthorizationFailedError "
    "GroupAuthorizationFailedError TransactionalIdAuthorizationFailedError TOPIC_AUTHORIZATION_FAILED "
    "CLUSTER_AUTHORIZATION_FAILED GROUP_AUTHORIZATION_FAILED",
    "topic": "UnknownTopicOrPartitionError UnknownTopicIdError InvalidTopicError _UNKNOWN_TOPIC _UNKNOWN_PARTITION "
    "UNKNOWN_TOPIC_OR_PART UNKNOWN_TOPIC_ID TOPIC_EXCEPTION",
    "timeout": "KafkaTimeoutError RequestTimedOutError _TIMED_OUT _MSG_TIMED_OUT _TIMED_OUT_QUEUE REQUEST_TIMED_OUT",
    "refused": "MessageSizeTooLargeError RecordListTooLargeError InvalidRecordError InvalidTimestampError "
    "MSG_SIZE_TOO_LARGE RECORD_LIST_TOO_LARGE INVALID_RECORD INVALID_TIMESTAMP",
    "stalled": "NotEnoughReplicasError NotEnoughReplicasAfterAppendError NOT_ENOUGH_REPLICAS "
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
}
_KIND = {name: kind for kind, names in _NAMED.items() for name in names.split()}
"""The exceptions of kafka-python and the error names of librdkafka."""
_QUOTED = {
    "Message size too large": "refused",
    "Message batch larger than configured": "refused",
    "failed to validate record": "refused",
    "Invalid timestamp": "refused",
    "authorization failed": "authorization",
    "Unknown topic or partition": "topic",
}
"""Of the error that ended a producer of librdkafka nothing but its text tells what was behind it."""
_CERTIFICATE = re.compile(
    r"CERTIFICATE|UNKNOWN_CA|BAD_CERT|HANDSHAKE_FAILURE|PEM|KEY_VALUES_MISMATCH|WRONG_VERSION_NUMBER", re.IGNORECASE
)


class Trouble(NamedTuple):
    """What is wrong."""

    kind: str
    """One of `KINDS`."""
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}"


def trouble(error: BaseException, servers: str = "Kafka", topic: str = "the topic") -> Trouble:
    """What an error of a client library, of the system or of TLS means, by the innermost of its causes that tells."""
    known = [(kind, each) for each in reversed(list(_causes(error))) if (kind := _kind(each))]
    telling = [found for found in known if found[0] not in {"timeout", "unreachable"}]
    kind, cause = next(iter(telling or known), ("other", error))
    message = _SAYS[kind].format(servers=servers, topic=topic)
    said = _said(cause)
    return Trouble(kind, message if said in message else f"{message} ({said})", _REMEDY[kind])


def diagnose(error: BaseException, connection: Connection, topic: str = "the topic") -> Trouble:
    """As `trouble`; where the error tells only that nothing came of it, servers are tried, and their own fault told."""
    servers = ", ".join(connection.servers)
    found = trouble(error, servers, topic)
    if found.kind not in {"timeout", "unreachable", "other"}:
        return found
    told = []
    for server in connection.servers[:LOOK_SERVERS]:
        fault = look(server, connection.tls)
        if fault is None:
            return found  # one of them answers: what it said stands
        told.append(trouble(fault, server, topic))
    return next((each for each in told if each.kind == "certificate"), told[0] if told else found)


def look(server: str, tls: Tls) -> OSError | None:
    """What is wrong with one server as far as the network and TLS go."""
    try:
        visit(server, tls)
    except OSError as error:
        return error
    return None


def visit(server: str, tls: Tls, seconds: float = LOOK_SECONDS) -> datetime | None:
    """Connect and shake hands; when the server's certificate ends, None without TLS. Raises OSError."""
    host, _, port = server.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), seconds) as plain:
            return _handshake(plain, host.strip("[]"), tls) if tls.ca is not None else None
    except TimeoutError as error:
        raise ConnectionError(errno.ETIMEDOUT, str(error) or os.strerror(errno.ETIMEDOUT)) from None


def _handshake(plain: socket.socket, host: str, tls: Tls) -> datetime:
    context = ssl.create_default_context(cafile=str(tls.ca))
    if tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.key)
    with context.wrap_socket(plain, server_hostname=host) as wrapped:
        ends = ssl.cert_time_to_seconds(str((wrapped.getpeercert() or {})["notAfter"]))
        wrapped.settimeout(ALERT_SECONDS)
        try:
            if wrapped.recv(1) == b"" and tls.certificate is not None:
                raise ssl.SSLError(1, "the broker hung up on our certificate")
        except TimeoutError:
            pass  # it waits for what we have to say: we are in
    return datetime.fromtimestamp(ends, UTC)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it, the outermost first."""
    seen: list[BaseException] = []
    queue: list[object] = [error]
    while queue and len(seen) < 16:
        each = queue.pop(0)
        if not isinstance(each, BaseException) or each in seen:
            continue
        seen.append(each)
        queue += [each.__cause__, None if each.__suppress_context__ else each.__context__, *each.args]
    return iter(seen)


def _kind(error: BaseException) -> str:
    """Of one error alone; empty where it says nothing."""
    name = getattr(error.args[0], "name", None) if error.args else None
    if callable(name):  # confluent's KafkaException, around a KafkaError
        return _confluent(name(), str(error.args[0]))
    if isinstance(error, OSError):
        return _system(error)
    named = next((_KIND[each.__name__] for each in type(error).__mro__ if each.__name__ in _KIND), "")
    return "certificate" if named == "unreachable" and _CERTIFICATE.search(str(error)) else named


def _confluent(name: str, text: str) -> str:
    if name in {"_TRANSPORT", "_SSL"} and _CERTIFICATE.search(text):
        return "certificate"
    return next((kind for words, kind in _QUOTED.items() if words in text), "") or _KIND.get(name, "")


def _system(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "certificate"
    if isinstance(error, TimeoutError):
        return "timeout"
    if error.filename is not None:
        return "authentication"  # the one file that we open ourselves is the password's
    return "certificate" if isinstance(error, FileNotFoundError | PermissionError) else "unreachable"


def _said(error: BaseException) -> str:
    """Its own words, on one line and of a bearable length."""
    if isinstance(error, ssl.SSLCertVerificationError):
        text = error.verify_message
    elif isinstance(error, OSError) and error.strerror:
        text = error.strerror + (f": {error.filename}" if error.filename else "")
    else:
        text = str(error.args[0] if error.args and error.args[0] is not None else "") or type(error).__name__
    return " ".join(text.split())[:200]
