"""The techniques of ATT&CK and ATLAS: what an id is called, to which tactics it belongs, where it is read about.

The matrices are data, `config/matrices/*.tsv`, each of the one release that `MATRIX` names.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from msgspec import Struct

from detector.rule_field import nearest
from nigrani.service.data import data_folder

MATRIX = "ATT&CK v19, ATLAS 5.6.0"
"""The releases that the files hold, and the shipped rules' ids are taken from."""
RELEASES = dict(zip(("attack", "atlas"), MATRIX.split(", "), strict=True))
"""Tag namespace → the release of its matrix."""


class Technique(Struct, frozen=True):
    """One technique or sub-technique."""

    id: str
    """As the matrix writes it: T1046, AML.T0024.002."""
    name: str
    """Of a sub-technique with its parent's before it."""
    tactics: tuple[str, ...] = ()
    """Short names, such as lateral-movement."""
    instead: str = ""
    """The id that took its place, where the matrix withdrew it."""

    @property
    def url(self) -> str:
        """Its page on the matrix's own site."""
        if self.id.startswith("AML."):
            return f"https://atlas.mitre.org/techniques/{self.id}"
        return f"https://attack.mitre.org/techniques/{self.id.replace('.', '/')}/"


@cache
def techniques(namespace: str) -> dict[str, Technique]:
    """Id → technique, of `attack` or `atlas`."""
    path = data_folder("config") / "matrices" / f"{namespace}.tsv"
    return {found.id: found for found in _read(path)}


def technique(uid: str) -> Technique | None:
    """The technique of that id, withdrawn or not; None where neither matrix has it."""
    return techniques("atlas" if uid.startswith("AML.") else "attack").get(uid)


def tag_warning(tag: str) -> tuple[str, str] | None:
    """What is wrong with a well-formed tag, and the remedy; None where nothing is, or it is of no matrix of ours."""
    namespace, _, word = tag.partition(".")
    if namespace not in RELEASES:
        return None
    if re.match(r"(t|aml)[.-]?t?\d", word):
        return _technique_warning(namespace, word.replace("-", ".").upper())
    if namespace == "attack" and not re.fullmatch(r"(g|s|c|m|ta|ds|dc|det|an)\d{4}", word) and word not in _tactics():
        return f"`{word}` is no tactic of {RELEASES[namespace]}", _instead_of(word)
    return None


def _technique_warning(namespace: str, uid: str) -> tuple[str, str] | None:
    known = techniques(namespace)
    found = known.get(uid)
    if found is None:
        present = [one.id for one in known.values() if not one.instead]
        return f"{uid} is no technique of {RELEASES[namespace]}", nearest(uid, present)
    if found.instead:
        return (
            f"{uid} was withdrawn from {RELEASES[namespace]}",
            f"write {namespace}.{found.instead.lower()} ({known[found.instead].name})",
        )
    return None


def _instead_of(tactic: str) -> str:
    if tactic.replace("_", "-") == "defense-evasion":
        return "write attack.stealth or attack.defense-impairment, into which it was split"
    return nearest(tactic, _tactics())


@cache
def _tactics() -> frozenset[str]:
    return frozenset(tactic for one in techniques("attack").values() for tactic in one.tactics)


def _read(path: Path) -> list[Technique]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [_technique(*line.split("\t")) for line in lines if not line.startswith("#")]


def _technique(uid: str, name: str, tactics: str = "") -> Technique:
    if name.startswith("= "):
        return Technique(uid, name, instead=name.removeprefix("= "))
    return Technique(uid, name, tuple(tactics.split(",")))
