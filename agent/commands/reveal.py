"""Turn tokens back into what they stand for, from the sealed map of this host, with the private key.

Who asked, for what and why is written to the trail of reveals and to the system's log before anything is shown; there is
no way around that. The private key is made once, with --make-key, and is kept off the hosts that agents run on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config import AgentConfig
from nigrani.service.config import load
from nigrani.service.errors import Problem, Usage
from nigrani.service.key import credential, default_site_key, site_key, state_folder

if TYPE_CHECKING:
    from agent.audit import Audit
    from agent.opener import Found

MAX_TOKENS = 100
"""Of one call: this opens single tokens and never lists the map."""
LEAST_REASON, MOST_REASON = 10, 500
"""Letters of a reason."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("tokens", metavar="TOKEN", nargs="*", help="such as ip:0123456789abcdef, at most 100")
    parser.add_argument("--reason", metavar="TEXT", default="", help="why, for the trail: a case or a ticket, say")
    parser.add_argument("--key", metavar="FILE", type=Path, help="the private key; - reads it from standard input")
    parser.add_argument("--json", action="store_true", help="one JSON object a value")
    parser.add_argument("--make-key", metavar="FILE", type=Path, help="make a key pair: the private key into a new file")
    parser.add_argument("--check-trail", action="store_true", help="print the trail of reveals, and whether it is whole")
    parser.add_argument("--state", metavar="DIR", type=Path, help="the agent's state folder, such as /var/lib/nigrani")
    parser.add_argument("--config", metavar="FILE", type=Path, help="agent.yaml")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override one setting")


def run(options: argparse.Namespace) -> int:
    """Reveal, make a key, or check the trail; 1 where a token is not in the map, or the trail is not whole."""
    if options.make_key is not None:
        return _make_key(options.make_key)
    if options.state is not None:
        os.environ["NIGRANI_STATE"] = str(options.state.absolute())
    if options.check_trail:
        return _check_trail()
    return _reveal(options)


def _reveal(options: argparse.Namespace) -> int:
    from agent.audit import Audit  # noqa: PLC0415 - only once the options stand

    tokens, reason = _tokens(options.tokens), _reason(options.reason)
    if options.key is None:
        raise Usage("--key: name the file with the private key, or - for standard input")
    config = load(AgentConfig, options.config, options.set)
    audit = Audit(state_folder())
    _note(audit, "asked", tokens=tokens, reason=reason)
    try:
        found = _opened(config, options.key, tokens)
    except (Problem, OSError) as error:
        _note(audit, "failed", tokens=tokens, outcome=str(error))
        raise
    missing = sorted({*tokens} - {one.token for one in found.meanings})
    _note(audit, "revealed", tokens=sorted({*tokens} - {*missing}), missing=missing)
    _show(found, as_json=options.json)
    for token in missing:
        _tell(f"{token}: not in the map: gone with its oldest part, never kept, or another site's")
    return 1 if missing else 0


def _note(audit: Audit, act: str, **details: object) -> None:
    try:
        audit.write(act, **details)
    except OSError as error:
        raise Problem(f"{audit.path}: {error.strerror or error}; what is not written down is not shown") from None


def _opened(config: AgentConfig, key: Path, tokens: list[str]) -> Found:
    from agent.opener import Opener, read_key  # noqa: PLC0415 - only once the options stand
    from agent.privacy import Tokens  # noqa: PLC0415 - as above

    tokens_of_site = Tokens(site_key(_site_key_file(config)).value)
    return Opener(state_folder() / "tokens", read_key(key), tokens_of_site).find(tokens)


def _site_key_file(config: AgentConfig) -> Path:
    """Where the agent's key is; it is not made here."""
    path = config.privacy.key or default_site_key()
    if path.is_file():
        return path
    try:
        return credential("site.key")
    except ValueError:
        raise Problem(f"site key {path}: not there; without it no value can be held against its token") from None


def _show(found: Found, *, as_json: bool) -> None:
    from nigrani.service.table import lines  # noqa: PLC0415 - only once there is something to show

    rows = [
        (one.token, one.value, datetime.fromtimestamp(one.first_seen / 1000, UTC).isoformat("T", "milliseconds"), one.proven)
        for one in found.meanings
    ]
    if as_json:
        names = ("token", "value", "first_seen", "proven")
        _print(json.dumps(dict(zip(names, row, strict=True))) for row in rows)
    elif rows:
        _print(lines(("token", "value", "first seen", "proven"), [(*row[:3], "yes" if row[3] else "NO") for row in rows]))
    if any(not one.proven for one in found.meanings):
        _tell("what is not proven is of an earlier site key, cut at 512 bytes, or forged")
    if found.foreign:
        _tell(f"parts of the map are sealed to {found.foreign} other public keys, which this key does not open")
    if found.broken:
        _tell(f"{found.broken} boxes of the map are damaged")


def _tokens(words: list[str]) -> list[str]:
    from agent.opener import TOKEN  # noqa: PLC0415 - only once the options stand

    if not words:
        raise Usage("name the tokens to reveal, such as ip:0123456789abcdef")
    bad = [word for word in words if not TOKEN.fullmatch(word)]
    if bad:
        raise Usage(f"{bad[0]!r} is no token: a kind such as ip, a colon and 16 hexadecimal digits")
    tokens = sorted({*words})
    if len(tokens) > MAX_TOKENS:
        raise Usage(f"{len(tokens)} tokens at once: at most {MAX_TOKENS}")
    return tokens


def _reason(text: str) -> str:
    reason = " ".join(text.split())
    if not LEAST_REASON <= len(reason) <= MOST_REASON:
        raise Usage(f"--reason: say why, in {LEAST_REASON} to {MOST_REASON} letters, such as 'case 2026-118, CERT-In'")
    return reason


def _make_key(path: Path) -> int:
    try:
        from nacl.public import PrivateKey  # noqa: PLC0415 - only where a key is made
    except ModuleNotFoundError:
        raise Problem("--make-key needs PyNaCl: pip install nigrani[map]") from None
    key = PrivateKey.generate()
    text = f"# Opens nigrani's sealed maps of tokens. Keep it off the hosts that agents run on.\n{bytes(key).hex()}\n"
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise Problem(f"{path} is there already; a key that is overwritten opens nothing any more") from None
    _tell(f"the private key is in {path}; take it off this host, and keep a second copy: without it nothing can be revealed")
    _print(["privacy:", "  map:", f'    key: "{bytes(key.public_key).hex()}"'])
    return 0


def _check_trail() -> int:
    from agent.audit import Audit  # noqa: PLC0415 - only once the options stand

    audit = Audit(state_folder())
    try:
        _print(audit.path.read_text(encoding="ascii", errors="backslashreplace").splitlines())
        faults = list(audit.faults())
    except FileNotFoundError:
        _tell(f"{audit.path}: nothing was ever revealed here, or the trail is gone")
        return 0
    for fault in faults:
        _tell(fault)
    return 1 if faults else 0


def _print(texts: Iterable[str]) -> None:
    sys.stdout.writelines(f"{text}\n" for text in texts)


def _tell(text: str) -> None:
    sys.stderr.write(f"nigrani: {text}\n")
