from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import msgspec
import pytest
from msgspec import Meta, Struct

from agent.policy import ALLOWED, CLASSES, Policy, classified
from nigrani.stream.event import Event, Word
from nigrani.stream.events import DATASETS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_text_of_every_dataset_is_classified(dataset: str) -> None:
    assert set(classified(DATASETS[dataset]).values()) <= {"", *ALLOWED}


def test_a_field_is_of_one_class_wherever_it_stands() -> None:
    known: dict[str, str] = {}
    for kind in DATASETS.values():
        for field in msgspec.structs.fields(kind):
            group = classified(kind)[field.name]
            assert known.setdefault(field.encode_name, group) == group, field.encode_name


def test_an_unclassified_text_is_refused_at_the_start() -> None:
    class Plain(Struct):
        note: str = ""

    class Listed(Struct):
        notes: list[Annotated[str, Meta(max_length=5)]]

    class Maybe(Struct):
        note: str | None = None

    class Anything(Struct):
        note: Any = None

    class Raw(Struct):
        note: bytes = b""

    class Keyed(Struct):
        notes: dict[str, str]

    class Fine(Struct):
        note: Word | None = None

    for kind in (Plain, Listed, Maybe, Anything, Raw, Keyed):
        with pytest.raises(TypeError, match="does not say what privacy does"):
            classified(cast("type[Event]", kind))
    assert classified(cast("type[Event]", Fine)) == {"note": "word"}


def test_by_default_the_class_says_what_is_done() -> None:
    ways = Policy().plan(DATASETS["network.session"])
    assert {name: ways[name] for name in ("source", "user", "share", "server_name", "client_mac", "protocol", "size")} == {
        "source": "address",
        "user": "user",
        "share": "name",
        "server_name": "domain-suffix",
        "client_mac": "mac",
        "protocol": "word",
        "size": "",
    }


def test_a_field_goes_before_its_class_and_a_class_before_domains() -> None:
    policy = Policy(
        domains="full",
        classes={"domain": "token", "name": "drop"},
        fields={"smb.share": "keep", "source.address": "zone", "tls.client.server_name": "keep", "user.name": "token"},
    )
    session, dns = policy.plan(DATASETS["network.session"]), policy.plan(DATASETS["network.dns"])
    assert (session["share"], session["realm"], session["user"]) == ("keep", "drop", "user")
    assert (session["server_name"], dns["question"]) == ("domain-full", "domain-token")
    assert (dns["source"], dns["destination"], dns["host"]) == ("zone", "address", "address")
    assert Policy(domains="token").plan(DATASETS["network.dns"])["question"] == "domain-token"


FAULTS = [
    ({"user": "keep"}, {}, "classes.user: keep is not for the class user; it names a person"),
    ({"study": "keep"}, {}, "classes.study: keep is not for the class study; no patient's"),
    ({"mac": "keep"}, {}, "classes.mac: keep is not for the class mac; no raw address"),
    ({"address": "keep"}, {}, "classes.address: keep is not for every address; no raw address"),
    ({"address": "zone"}, {}, "classes.address: zone is not for every address; set it for source.address"),
    ({"address": "drop"}, {}, "classes.address: drop is not for every address; the detector joins by it"),
    ({"word": "drop"}, {}, "classes.word: rules are made of the words"),
    ({"patient": "drop"}, {}, "classes.patient: no class of fields is called so; they are mac, ae, user"),
    ({"name": "hash"}, {}, "classes.name: 'hash' is no policy; take token or keep or drop"),
    ({"name": "zone"}, {}, "classes.name: zone is not for the class name; only an address is in a zone"),
    ({}, {"source.address": "keep"}, "fields.source.address: keep is not for the class address; no raw address"),
    ({}, {"destination.address": "drop"}, "fields.destination.address: drop is not for the class address; the detector"),
    ({}, {"host.id": "zone"}, "fields.host.id: zone is not for host.id"),
    ({}, {"host.id": "drop"}, "fields.host.id: drop is not for host.id"),
    ({}, {"nigrani.patient": "keep"}, "fields.nigrani.patient: keep is not for the class study"),
    ({}, {"user.nam": "drop"}, "fields.user.nam: no such field, or one without text; did you mean user.name?"),
    ({}, {"source.port": "drop"}, "fields.source.port: no such field, or one without text"),
    ({}, {"event.id": "drop"}, "fields.event.id: no such field, or one without text"),
    ({}, {"event.action": "drop"}, "fields.event.action: a word of the agent's own"),
    ({}, {"nigrani.source.zone": "drop"}, "fields.nigrani.source.zone: a word of the agent's own"),
    ({}, {"nigrani.flow.state": "drop"}, "fields.nigrani.flow.state: a word of the agent's own"),
    ({}, {"user_agent.name": "token"}, "fields.user_agent.name: token is not for the class word; rules know it"),
]


@pytest.mark.parametrize(
    ("classes", "fields", "told"), FAULTS, ids=lambda value: "" if isinstance(value, dict) else value[:40]
)
def test_what_cannot_be_is_refused(classes: dict[str, str], fields: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=": ") as refused:
        Policy(classes=classes, fields=fields)
    assert [str(text)[: len(told)] for text in refused.value.args] == [told]


def test_all_faults_at_once() -> None:
    with pytest.raises(ValueError, match=": ") as refused:
        Policy(classes={"user": "keep", "x": "drop"}, fields={"host.id": "drop", "smb.share": "drop"})
    assert len(refused.value.args) == 3


def test_every_pair_is_either_refused_or_has_a_way() -> None:
    from agent.privacy import Privacy  # noqa: PLC0415 - compiled; only this test needs it

    ways = set(Privacy(bytes(32), agent="a", boot="b")._ways)
    for group, allowed in ALLOWED.items():
        for policy in allowed:
            if group in CLASSES:
                for kind in DATASETS.values():
                    assert set(Policy(classes={group: policy}).plan(kind).values()) <= {"", *ways}


def test_the_page_names_every_class() -> None:
    text = (ROOT / "docs" / "privacy.md").read_text()
    for group, allowed in ALLOWED.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{group}` "))
        assert all(policy in row for policy in allowed), row
