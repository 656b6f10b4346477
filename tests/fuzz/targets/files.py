"""What people write and what the detector keeps: configurations, rules, baselines, checkpoints; and events to judge."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from agent.config import AgentConfig
from agent.privacy import Zones
from detector.baseline import COMMENT_BYTES, MARK, Baseline, BaselineError
from detector.checkpoint import Checkpoint, pack, unpack
from detector.config import DetectorConfig
from detector.engine import Engine, Knowledge
from detector.learn import FEATURES
from detector.rule_loader import Loader
from detector.ruleset import RuleSet
from detector.share import Share
from detector.signing import PUBLIC_NAME, Signer, Verifier, signing_key
from nigrani.service.config import load
from nigrani.service.errors import BadConfig
from nigrani.stream.codec import decode
from tests.fuzz.target import DATA, ROOT, Target, scratch
from tests.fuzz.targets.stream import events


def config(kind: type[Any], data: bytes) -> object:
    """A configuration, or faults of which each names the file in one line."""
    path = scratch() / "config.yaml"
    path.write_bytes(data)
    try:
        found = load(kind, path)
    except BadConfig as error:
        faults = error.faults
        text = str(error)
    else:
        return _settings(found)
    assert faults
    assert all(fault.path == str(path) and fault.message for fault in faults)
    assert all(line.isprintable() for line in text.split("\n")), text
    return [fault.line for fault in faults]


def _settings(found: Any) -> str:
    if isinstance(found, AgentConfig):
        try:
            Zones(found.privacy.zones)
        except ValueError:
            return "bad zones"
    return repr(asdict(found))


def rules(data: bytes) -> object:
    """Rules, or faults of which each names the file; sound ones can be asked."""
    folder = scratch() / "rules"
    folder.mkdir(exist_ok=True)
    (folder / "a.yml").write_bytes(data)
    loader = Loader([folder])
    assert all(fault.path == folder / "a.yml" and fault.message for fault in loader.faults)
    if loader.faults:
        return [fault.line for fault in loader.faults]
    engine = Engine(RuleSet(loader), lambda _: None)
    for line in events():
        engine.feed(decode(line))
    engine.close()
    return [rule.id for rule in loader.rules]


def _some_rules() -> Iterable[bytes]:
    for path in sorted((ROOT / "rules").rglob("*.yml")):
        yield path.read_bytes()


@cache
def _keys() -> tuple[Signer, Verifier]:
    signer = signing_key(scratch() / "keys")
    return signer, Verifier([scratch() / "keys" / PUBLIC_NAME])


def baseline(data: bytes) -> object:
    """Whatever a trusted key has signed is a baseline or refused; so is what is made of it."""
    signer, verifier = _keys()
    signed = data + MARK + f"{signer.key_id} {signer.sign(data).hex()}".encode()
    try:
        found = Baseline.from_bytes(signed, verifier)
        Knowledge.of(found)
    except BaselineError:
        return "refused"
    return sorted(found.arrays)


def _baselines() -> Iterable[bytes]:
    signer, _ = _keys()
    arrays = {
        "flow.knots": np.linspace(0, 1, 6).reshape(2, 3),
        "sets.a": np.arange(3, dtype=np.uint64),
        "t": np.array(["é"]),
    }
    made = Baseline.of(FEATURES, arrays, window=("", ""), counts={}, models=[], seed=0, config={})
    yield made.to_bytes(signer)[:-COMMENT_BYTES]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.comment = b" " * COMMENT_BYTES
        archive.writestr("header.json", '{"format": 1, "features": [], "arrays": {}}')
    yield file.getvalue()[:-COMMENT_BYTES]


@cache
def _shipped() -> RuleSet:
    return RuleSet.load(ROOT / "rules")


def _share() -> Share:
    return Share(0, Engine(_shipped().empty(), lambda _: None), _shipped())


def checkpoint(data: bytes) -> object:
    """A checkpoint whose sum is right: its state is gone on with, or refused."""
    with suppress(ValueError):
        unpack(data)
    whole = pack(Checkpoint(1, 0, data[1:] if data[:1] == b"z" else _squeezed(data)))
    assert unpack(whole).next == 1
    share = _share()
    try:
        share.resume(unpack(whole).state)
    except ValueError:
        return "refused"
    for line in events():
        share.engine.feed(decode(line))
    share.engine.close()
    share.state()
    return "resumed"


def _squeezed(data: bytes) -> bytes:
    return zlib.compress(data, 1)


def _checkpoints() -> Iterable[bytes]:
    share = _share()
    yield zlib.decompress(share.state())
    for line in events():
        share.engine.feed(decode(line))
    yield zlib.decompress(share.state())
    yield pack(Checkpoint(1, 0, b"x"))


def judge(data: bytes) -> object:
    """Any events that decode are judged by the shipped rules; alerts have a reason and are OCSF's."""
    alerts: list[Any] = []
    engine = Engine(_shipped().empty(), alerts.append)
    count = 0
    for line in data.split(b"\n"):
        try:
            event = decode(line)
        except ValueError:
            continue
        count += 1
        engine.feed(event)
    engine.close()
    engine.state()
    return [count, [alert.ocsf()["metadata"]["uid"] for alert in alerts]]


def _judged() -> Iterable[bytes]:
    yield b"\n".join(events())
    yield from events()


def _yaml(*paths: Path) -> Callable[[], Iterable[bytes]]:
    return lambda: [path.read_bytes() for path in paths]


AGENT = (ROOT / "config" / "agent.yaml", DATA / "morning" / "agent.yaml")
DETECTOR = (ROOT / "config" / "detector.yaml", DATA / "morning" / "detector.yaml")
TARGETS = {
    "agent-config": Target("agent-config", partial(config, AgentConfig), _yaml(*AGENT)),
    "detector-config": Target("detector-config", partial(config, DetectorConfig), _yaml(*DETECTOR)),
    "rules": Target("rules", rules, _some_rules),
    "baseline": Target("baseline", baseline, _baselines),
    "checkpoint": Target("checkpoint", checkpoint, _checkpoints),
    "judge": Target("judge", judge, _judged),
}
