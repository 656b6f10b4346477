"""HTTP requests made with curl, several over one connection."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.topology import Network


@dataclass(frozen=True)
class Request:
    """One request; `body` is sent by POST, `upload` by PUT."""

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    body_file: Path | None = None
    upload: Path | None = None


def fetch(network: Network, host: str, requests: Sequence[Request], rate: str | None = None, agent: str = "") -> int:
    """Make the requests from a host, in order; returns how many were answered with 2xx."""
    blocks = [_block(request, agent) for request in requests]
    options = ["--rate", rate] if rate else []
    done = network.run(host, ["curl", "-s", "-k", "--max-time", "50", *options, "-K", "-"], 90, "\nnext\n".join(blocks))
    return sum(code.startswith("2") for code in done.stdout.split())


def _block(request: Request, agent: str) -> str:
    """One request in the syntax of a curl config file."""
    lines = [
        f"url = {_quote(request.url)}",
        'output = "/dev/null"',
        'write-out = "%{http_code}\\n"',
        "silent",
        "insecure",
        "connect-timeout = 5",
    ]
    lines += [f"header = {_quote(f'{name}: {value}')}" for name, value in request.headers.items()]
    if agent:
        lines.append(f"user-agent = {_quote(agent)}")
    if request.body is not None:
        lines.append(f"data-binary = {_quote(request.body)}")
    if request.body_file is not None:
        lines.append(f"data-binary = {_quote(f'@{request.body_file}')}")
    if request.upload is not None:
        lines.append(f"upload-file = {_quote(str(request.upload))}")
    return "\n".join(lines)


def _quote(text: str) -> str:
    return json.dumps(text)
