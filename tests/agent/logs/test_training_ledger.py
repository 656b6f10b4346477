from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.logs.training_ledger import ACTIONS, TrainingLedger
from agent.protocol import Fact
from tests.agent.logs.hostile import hold, lines

LINE: dict[str, object] = {
    "time": 1_790_000_000.5, "action": "update", "framework": "flower", "job": "cxr-7", "round": 3, "site": "hospital-4",
    "samples": 812, "norm": 1.93, "cosine": -0.2, "loss": 0.4,
}  # fmt: skip


def parse(**changes: object) -> Fact:
    return TrainingLedger().parse(json.dumps({**LINE, **changes}).encode())


def test_an_update() -> None:
    fact = parse()
    assert (fact.dataset, fact.when) == ("ai.training", 1_790_000_000_500_000)
    told = {name: value for name, value in fact.fields.items() if value not in {"", 0, None}}
    assert told == {**{name: value for name, value in LINE.items() if name != "time"}, "provider": "training-ledger"}


def test_a_change_of_the_data() -> None:
    fields = parse(action="dataset-change", dataset="cxr-2026", added=900, removed=2, relabelled=40, user="anita").fields
    assert [fields[name] for name in ("dataset", "added", "removed", "relabelled", "user")] == [
        "cxr-2026",
        900,
        2,
        40,
        "anita",
    ]


def test_a_number_that_is_none_is_not_told() -> None:
    line = json.dumps(LINE).replace("1.93", "1e999")
    with pytest.raises(ValueError, match=r"."):
        TrainingLedger().parse(line.encode())
    assert parse(norm=None, outcome="maybe").fields["outcome"] == ""


@pytest.mark.parametrize(
    "change", [{"time": 0}, {"time": -1}, {"time": 1 << 32}, {"time": "1"}, {"action": "RAO^ANITA"}, {"round": "3"}]
)
def test_another_shape_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(**change)


@given(lines([json.dumps({**LINE, "action": action}).encode() for action in sorted(ACTIONS)]) | st.just(b'{"x":' * 30_000))
def test_any_bytes_are_a_fact_or_a_value_error(line: bytes) -> None:
    hold(TrainingLedger(), line)
