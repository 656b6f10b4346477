from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from nigrani.stream.codec import encode
from nigrani.stream.event import Event
from nigrani.stream.events import DATASETS
from nigrani.stream.schema import main, schema

COMMITTED = Path(__file__).parents[3] / "config" / "schema"
SCHEMAS: dict[str, dict[str, Any]] = {dataset: schema(dataset) for dataset in DATASETS}
VALIDATORS = {dataset: Draft202012Validator(each) for dataset, each in SCHEMAS.items()}


def test_the_committed_schemas_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["--check", str(COMMITTED)])
    assert status == 0, capsys.readouterr().err


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_schema_is_one(dataset: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[dataset])
    assert SCHEMAS[dataset]["title"] == dataset


@given(st.data())
def test_what_the_codec_writes_is_valid(any_event: st.SearchStrategy[Event], data: st.DataObject) -> None:
    fields = json.loads(encode(data.draw(any_event)))
    VALIDATORS[fields["event.dataset"]].validate(fields)


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_required_field_and_a_type_are_held(dataset: str) -> None:
    assert not VALIDATORS[dataset].is_valid({"event.dataset": dataset})
    assert set(SCHEMAS[dataset]["required"]) >= {"@timestamp", "event.id", "event.sequence", "agent.id", "host.id"}


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_field_is_there_under_its_name(dataset: str) -> None:
    names = {field.encode_name for field in msgspec.structs.fields(DATASETS[dataset])}
    assert SCHEMAS[dataset]["properties"].keys() == names | {"event.dataset"}


def test_descriptions_and_privacy_come_from_the_structure() -> None:
    fields = SCHEMAS["dicom.association"]["properties"]
    assert fields["dicom.status"]["description"].startswith("Response status (0000,0900)")
    assert fields["host.id"]["description"].startswith("The device whose story")  # inherited
    assert fields["dicom.called_ae"]["description"].startswith("A DICOM application entity title")  # of its class
    assert fields["dicom.called_ae"]["x-privacy"] == "ae"
    assert fields["dicom.abstract_syntaxes"]["x-privacy"] == "word"  # of its items
    assert "x-privacy" not in fields["dicom.contexts"]


def test_check_names_what_is_missing_and_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--write", str(tmp_path / "new")]) == 0
    assert main(["--check", str(tmp_path / "new")]) == 0
    (tmp_path / "new" / "network.flow.json").write_text("{}")
    (tmp_path / "new" / "network.dns.json").unlink()
    assert main(["--check", str(tmp_path / "new")]) == 1
    told = capsys.readouterr().err
    assert "network.flow.json differs" in told
    assert "network.dns.json is missing" in told
