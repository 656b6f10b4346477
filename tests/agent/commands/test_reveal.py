"""`nigrani agent reveal`, as a responder runs it on a host whose agent keeps a map."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from agent import audit as audit_module
from agent.audit import NAME
from agent.config import AgentConfig, Privacy, TokenMap
from agent.setup import make_map, make_privacy
from nigrani.cli import main

TOO_MANY = [f"ip:{number:016x}" for number in range(101)]
REASON = "case 2026-118, report to CERT-In"


class Site:
    """A host with a map of one address and one user."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.state = folder / "state"
        self.key = folder / "map.private"
        self._capsys = capsys
        os.environ["NIGRANI_STATE"] = str(self.state)
        assert main(["agent", "reveal", "--make-key", str(self.key)]) == 0
        public = capsys.readouterr().out.split('"')[1]
        config = AgentConfig(privacy=Privacy(map=TokenMap(key=public)))
        sealer = make_map(config)
        assert sealer is not None
        privacy = make_privacy(config, "1", tell=sealer.note)
        self.address = privacy.address("10.0.0.1")[0]
        self.user = privacy._tokens.of("user", b"anita\x1b[2J")
        sealer.close()

    def reveal(self, *words: str) -> tuple[int, str, str]:
        try:
            code = main(["agent", "reveal", *words])
        except SystemExit as ended:
            code = int(str(ended.code))
        return code, *self._capsys.readouterr()

    def trail(self) -> list[dict[str, Any]]:
        path = self.state / NAME
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("NIGRANI_STATE", "")
    return Site(tmp_path, capsys)


def test_tokens_are_revealed_and_written_down_first(site: Site) -> None:
    code, out, error = site.reveal(site.address, site.user, "--key", str(site.key), "--reason", REASON)
    assert (code, error) == (0, "")
    rows = [line.split("  ") for line in out.splitlines()]
    assert [[cell.strip() for cell in row if cell][:2] for row in rows[1:]] == [
        [site.address, "10.0.0.1"],
        [site.user, "anita\\x1b[2J"],
    ]
    asked, revealed = site.trail()
    assert (asked["act"], asked["tokens"], asked["reason"]) == ("asked", sorted([site.address, site.user]), REASON)
    assert (revealed["act"], revealed["tokens"], revealed["missing"]) == ("revealed", asked["tokens"], [])
    assert "10.0.0.1" not in (site.state / NAME).read_text()
    assert "anita" not in (site.state / NAME).read_text()


def test_json(site: Site) -> None:
    code, out, _ = site.reveal(site.address, "--key", str(site.key), "--reason", REASON, "--json")
    told = json.loads(out)
    assert (code, told["token"], told["value"], told["proven"]) == (0, site.address, "10.0.0.1", True)


def test_a_token_that_is_not_in_the_map_is_written_down_too(site: Site) -> None:
    code, out, error = site.reveal("ip:0000000000000000", "--key", str(site.key), "--reason", REASON)
    assert (code, out) == (1, "")
    assert "ip:0000000000000000: not in the map" in error
    assert [(line["act"], line.get("missing")) for line in site.trail()] == [
        ("asked", None),
        ("revealed", ["ip:0000000000000000"]),
    ]


@pytest.mark.parametrize("act", ["asked", "revealed"])
def test_what_cannot_be_written_down_is_not_shown(site: Site, act: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write = audit_module.Audit.write

    def failing(audit: audit_module.Audit, what: str, **details: object) -> None:
        if what == act:
            raise OSError(28, "No space left on device")
        write(audit, what, **details)

    monkeypatch.setattr(audit_module.Audit, "write", failing)
    code, out, error = site.reveal(site.address, "--key", str(site.key), "--reason", REASON)
    assert (code, out) == (1, "")
    assert "No space left on device; what is not written down is not shown" in error
    assert "10.0.0.1" not in error


def test_a_trail_in_the_way_of_which_something_stands(site: Site) -> None:
    (site.state / NAME).mkdir()
    code, out, error = site.reveal(site.address, "--key", str(site.key), "--reason", REASON)
    assert (code, out) == (1, "")
    assert "is not shown" in error


@pytest.mark.parametrize("reason", ["", "   ", "why not", "x" * 501, " \n\t " * 20])
def test_a_reason_is_needed(site: Site, reason: str) -> None:
    code, out, error = site.reveal(site.address, "--key", str(site.key), "--reason", reason)
    assert (code, out, site.trail()) == (2, "", [])
    assert "--reason: say why" in error


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["ip:*"],
        ["*"],
        ["ip:0123"],
        ["10.0.0.1"],
        ["ip:0123456789ABCDEF"],
        TOO_MANY,
    ],
)
def test_tokens_are_named_one_by_one_and_not_too_many(site: Site, words: list[str]) -> None:
    code, out, _ = site.reveal(*words, "--key", str(site.key), "--reason", REASON)
    assert (code, out, site.trail()) == (2, "", [])


def test_no_key_another_key_and_an_open_key_open_nothing_and_are_written_down(site: Site, tmp_path: Path) -> None:
    assert site.reveal(site.address, "--reason", REASON)[0] == 2
    other = tmp_path / "other.private"
    site.reveal("--make-key", str(other))
    code, out, error = site.reveal(site.address, "--key", str(other), "--reason", REASON)
    assert (code, out) == (1, "")
    assert "the map is sealed to" in error
    site.key.chmod(0o644)
    assert site.reveal(site.address, "--key", str(site.key), "--reason", REASON)[:2] == (1, "")
    trail = site.trail()
    assert [line["act"] for line in trail] == ["asked", "failed"] * 2
    assert "chmod 600" in trail[-1]["outcome"]


def test_without_the_sites_key_none_is_made(site: Site) -> None:
    (site.state / "site.key").unlink()
    code, out, error = site.reveal(site.address, "--key", str(site.key), "--reason", REASON)
    assert (code, out) == (1, "")
    assert "no value can be held against its token" in error
    assert not (site.state / "site.key").exists()


def test_the_state_folder_may_be_named(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NIGRANI_STATE", str(tmp_path))
    code, out, _ = site.reveal(site.address, "--state", str(site.state), "--key", str(site.key), "--reason", REASON)
    assert code == 0
    assert "10.0.0.1" in out
    assert len(site.trail()) == 2


def test_a_key_is_closed_and_never_written_over(site: Site) -> None:
    assert site.key.stat().st_mode & 0o777 == 0o600
    before = site.key.read_bytes()
    code, out, error = site.reveal("--make-key", str(site.key))
    assert (code, out) == (1, "")
    assert "is there already" in error
    assert site.key.read_bytes() == before


def test_the_trail_is_checked(site: Site) -> None:
    assert site.reveal("--check-trail")[0] == 0
    site.reveal(site.address, "--key", str(site.key), "--reason", REASON)
    code, out, error = site.reveal("--check-trail")
    assert (code, len(out.splitlines()), error) == (0, 2, "")
    text = (site.state / NAME).read_text()
    (site.state / NAME).write_text(text.replace("case 2026-118", "case 2026-119"))
    code, _, error = site.reveal("--check-trail")
    assert code == 1
    assert f"{NAME}:2: does not follow the line before it" in error
