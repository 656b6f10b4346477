"""CERT-In's incident types: every kind of alert that we ship has a line in the table."""

from __future__ import annotations

from pathlib import Path

import yaml

from detector import response
from detector.reports.incident_type import TABLE, propose, table
from detector.response import Response
from detector.setup import load_rules
from nigrani.service.data import data_folder

ROMAN = [
    "i",
    "ii",
    "iii",
    "iv",
    "v",
    "vi",
    "vii",
    "viii",
    "ix",
    "x",
    "xi",
    "xii",
    "xiii",
    "xiv",
    "xv",
    "xvi",
    "xvii",
    "xviii",
    "xix",
    "xx",
]


def test_the_types_are_the_forms_twenty_in_its_order() -> None:
    words = table().words
    assert list(words) == ROMAN
    assert "Artificial Intelligence and Machine Learning" in words["xx"]
    assert words["i"].startswith("Targeted scanning")
    assert words["xi"] == "Data Breach"
    assert words["xiii"].startswith("Attacks on Internet of Things")


def test_every_kind_that_we_ship_has_its_line_and_no_line_is_left_over() -> None:
    data = yaml.safe_load((data_folder("config") / TABLE).read_text())
    shipped: dict[str, set[str]] = {}
    for rule in load_rules().rules:
        shipped.setdefault(rule.path.parent.name, set()).add(rule.path.stem)
    ours = {
        one
        for value in vars(response).values()
        for one in (value if isinstance(value, tuple) else (value,))
        if isinstance(one, Response)
    }
    rules = {one.slug for one in response.LIKE_RULES}
    shipped["anomaly"] = {one.slug if one.slug in rules else f"anomaly-{one.slug}" for one in ours}
    assert {folder: set(kinds) for folder, kinds in data["kinds"].items()} == shipped


def test_numbers_are_known_and_no_kind_is_there_twice() -> None:
    data = yaml.safe_load((data_folder("config") / TABLE).read_text())
    kinds = [kind for folder in data["kinds"].values() for kind in folder]
    assert len(kinds) == len(set(kinds)) == len(table().kinds)
    assert {number for numbers in table().kinds.values() for number in numbers} <= set(ROMAN)


def test_what_is_about_ai_says_so() -> None:
    data = yaml.safe_load((data_folder("config") / TABLE).read_text())
    for folder, kinds in data["kinds"].items():
        for kind, numbers in kinds.items():
            assert ("xx" in numbers) == (folder in {"ai", "training"} or kind == "anomaly-inference") or not numbers, kind


def test_a_proposal() -> None:
    proposal = propose(["query_burst", "port_scan", "of_the_site", "smb_version_1", "ping_sweep"])
    assert proposal.numbers == {"i": ("port_scan", "ping_sweep"), "xx": ("query_burst",)}
    assert list(proposal.numbers) == ["i", "xx"]  # in the form's order
    assert proposal.unknown == ("of_the_site", "smb_version_1")
    assert propose([]).numbers == {}


def test_the_table_travels_with_the_configuration() -> None:
    assert not Path(TABLE).is_absolute()
    assert (data_folder("config") / TABLE).is_file()
