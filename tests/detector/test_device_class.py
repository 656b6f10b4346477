"""The list of classes is closed, and every line of the table can be the one that fits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from detector import device_class as module
from detector.device_class import CLASSES, UNKNOWN, told_by

SIGNS = sorted({sign for _, has, lacks in module._TABLE for sign in has | lacks})


def test_classes_are_words_for_labels_and_have_a_meaning() -> None:
    assert UNKNOWN in CLASSES
    assert len(CLASSES) <= 16
    for name, meaning in CLASSES.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)
        assert meaning


def test_every_class_is_told_by_something() -> None:
    assert {name for name, *_ in module._TABLE} == set(CLASSES) - {UNKNOWN}


@pytest.mark.parametrize("row", module._TABLE, ids=lambda row: f"{row[0]} {' '.join(sorted(row[1]))}")
def test_no_line_is_hidden_by_those_before_it(row: tuple[str, frozenset[str], frozenset[str]]) -> None:
    before = module._TABLE[: module._TABLE.index(row)]
    sets = [row[1] | extra for extra in map(frozenset, [[], *([sign] for sign in SIGNS)]) if row[2].isdisjoint(extra)]
    free = [one for one in sets if not any(has <= one and lacks.isdisjoint(one) for _, has, lacks in before)]
    assert free
    assert {told_by(one) for one in free} == {row[0]}


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        ("", UNKNOWN),
        ("web", UNKNOWN),
        ("stores", "modality"),
        ("stores worklist performs web", "modality"),
        ("stores worklist queries stored", "modality"),
        ("stores queries stored files web", "workstation"),
        ("stored queries infers", "workstation"),
        ("stored", "pacs"),
        ("stored web", "workstation"),
        ("stored stored+ stores", "pacs"),
        ("stored stores", "ai-server"),
        ("queried stored stored+ queries stores web hears", "pacs"),
        ("stored infers", "ai-server"),
        ("stores infers", "modality"),
        ("lists hears results", "lab"),
        ("lists hears orders", "his"),
        ("lists", "his"),
        ("admits results fhir hears", "his"),
        ("fhir hears serves serves+", "fhir-server"),
        ("resolves authenticates shares shares+", "server"),
        ("resolves web", "network"),
        ("shares shares+ files", UNKNOWN),
        ("shares", UNKNOWN),
        ("shares shares+ web", "file-server"),
        ("publishes", "bedside"),
        ("calls", "telemedicine"),
        ("calls files web login", "desktop"),
        ("serves", UNKNOWN),
        ("serves serves+ web", "server"),
        ("prints serves serves+", "printer"),
    ],
)
def test_what_signs_tell(signs: str, expected: str) -> None:
    assert told_by(set(signs.split())) == expected


SOURCES = {"modality", "pacs", "workstation", "ai-server"}


def test_the_rule_on_images_from_elsewhere_names_every_other_class() -> None:
    path = Path(__file__).parents[2] / "rules" / "dicom" / "stored_by_no_modality.yml"
    named = yaml.safe_load(path.read_text())["detection"]["source"]["source.class"]
    assert set(named) == set(CLASSES) - SOURCES


@given(st.sets(st.sampled_from(SIGNS)))
def test_who_stored_images_is_always_a_source_of_images(signs: set[str]) -> None:
    """So that the rule on images from elsewhere never tells of what was usual while the baseline was learnt."""
    assert told_by(signs | {"stores"}) in SOURCES


@given(st.sets(st.sampled_from([*SIGNS, "nonsense"])))
def test_any_signs_tell_one_of_the_list(signs: set[str]) -> None:
    assert told_by(signs) in CLASSES
    assert told_by(signs) == told_by(sorted(signs, reverse=True))
