"""NVFlare's audit log (`nvflare/fuel/sec/audit.py`): headers in square brackets, then what was done.

`[E:…]` event, `[R:…]` its peer's, `[T:…]` naive local time, `[U:…]` user, `[S:…]` scope, `[J:…]` job, `[A:…]` action or
`task#id`. Commands stand as the administrator typed them, so only their first word is one. Job lines of every site
follow: task sent, received, filtered, run, result submitted and received.
"""

from __future__ import annotations

import re
from datetime import tzinfo

from agent.logs.clock import now, read_moment
from agent.protocol import Fact

_HEADER = re.compile(r"\[([A-Z]):([^\]]{0,512})\]")
_MESSAGES = (
    (re.compile(r'sent task to client ["\']([^"\']{1,128})["\']'), "task"),
    (re.compile(r'received result from client ["\']([^"\']{1,128})["\']'), "update"),
    (re.compile(r"received task from server()"), "task"),
    (re.compile(r"submit result(): ?(?!OK)\S"), "result-failed"),
    (re.compile(r"submit result OK()"), "result"),
    (re.compile(r"applied filter:()"), "filter"),
    (re.compile(r"invoked executor()"), "run"),
)
_ACTIONS = {
    "_cert_login": "login",
    "_logout": "logout",
    "submit_job": "submit",
    "clone_job": "submit",
    "abort_job": "abort",
    "delete_job": "delete",
    "download_job": "download",
    "train.deploy": "job-start",
    "train.start": "job-start",
    "train.start_job": "job-start",
    "train.abort": "job-end",
    "component_authorization.class_allow_list_disabled": "unlisted-code",
    "component_authorization.default_class_allow_list_used": "unlisted-code",
    "component_authorization.unlisted_class_allowed": "unlisted-code",
}
"""Command or topic → act; any other is `admin`. The console may write a command with its scope: `job_mgmt.submit_job`."""
_WORD = re.compile(r"[A-Za-z_][\w.]{0,63}")


class NvflareAudit:
    """One line, one act."""

    name = "nvflare-audit"
    framing = "lines"

    def __init__(self, zone: tzinfo | None = None) -> None:
        """zone: of the host that wrote the log; None for this host's."""
        self._zone = zone

    def parse(self, line: bytes, arrival: int = 0, /) -> Fact:
        """The act. Raises ValueError for a line without an event, a time, and an action or a job."""
        headers, message = _headers(line.decode("utf-8", "replace"))
        if "E" not in headers or not headers.keys() & {"A", "J"}:
            raise ValueError("no event of an audit log")
        when = read_moment(headers.get("T", ""), self._zone, arrival or now())
        fields = {"provider": self.name, "framework": "nvflare", "user": _known(headers.get("U", ""))}
        if "J" in headers:
            return Fact("ai.training", when, {**fields, **_job(headers, message)}, None)
        command, _, rest = headers["A"].partition(" ")
        action = _ACTIONS.get(command) or _ACTIONS.get(command.rpartition(".")[2], "admin")
        if action == "login":
            fields["user"] = rest or fields["user"]
        return Fact("ai.training", when, {**fields, "action": action, "task": _word(command)}, None)


def _headers(text: str) -> tuple[dict[str, str], str]:
    """(the first of each header, the message after them): what looks like a header in a message is none."""
    headers: dict[str, str] = {}
    end = 0
    while (found := _HEADER.match(text, end)) and found[1] not in headers:
        headers[found[1]] = found[2]
        end = found.end()
    return headers, text[end:]


def _job(headers: dict[str, str], message: str) -> dict[str, object]:
    task = headers.get("A", "").partition("#")[0]
    fields: dict[str, object] = {"action": "job", "job": headers["J"], "task": _word(task)}
    for shape, action in _MESSAGES:
        found = shape.match(message)
        if found:
            failed = action == "result-failed"
            fields["action"] = "result" if failed else action
            fields["site"] = found[1] or ""
            if action.startswith("result"):
                fields["outcome"] = "failure" if failed else "success"
            break
    return fields


def _known(user: str) -> str:
    """The user, or nothing for `?`, which stands for an unknown one."""
    return "" if user == "?" else user


def _word(text: str) -> str:
    """A command or task where it looks like one; an administrator may have typed anything."""
    return text if _WORD.fullmatch(text) else "other" if _known(text) else ""
