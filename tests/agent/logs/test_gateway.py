from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.logs.gateway import Gateway
from agent.protocol import Fact
from nigrani.stream.events import AiInference, AiModelAccess

LINE: dict[str, Any] = {
    "msec": 1_700_000_000.123456,
    "client": "10.0.0.9",
    "uri": "/v2/models/lung-nodule/infer",
    "method": "POST",
    "status": 200,
    "cn": "CN=reader7",
    "key": "k1",
    "req_bytes": 524_288,
    "resp_bytes": 300,
    "dur": 0.25,
    "up": "10.0.0.5:8000",
    "study": "1.2.840.1",
    "sk": "a1,b2,,c3",
    "c1": "0.93",
    "ent": "1.5",
}


def parse(**changes: object) -> Fact:
    return Gateway().parse(json.dumps({**LINE, **changes}).encode())


def test_one_request() -> None:
    fact = parse()
    assert (fact.dataset, fact.when, fact.count, fact.sums) == ("ai.inference", 1_700_000_000_123_456, 1, None)
    assert fact.fields == {
        "source": "10.0.0.9",
        "user": "CN=reader7",
        "server": "triton",
        "model": "lung-nodule",
        "action": "predict",
        "method": "POST",
        "status": 200,
        "request_bytes": 524_288,
        "response_bytes": 300,
        "duration": 250_000_000,
        "study": "1.2.840.1",
        "sketch": ("a1", "b2", "c3"),
        "confidence": 0.93,
        "entropy": 1.5,
        "destination": "10.0.0.5",
        "destination_port": 8000,
    }
    assert set(fact.fields) <= {field.name for field in msgspec.structs.fields(AiInference)}


@pytest.mark.parametrize(
    ("uri", "expected"),
    {
        "/v2/models/lung/infer": ("triton", "predict", "lung"),
        "/v2/models/lung/versions/3/infer?x=1": ("triton", "predict", "lung"),
        "/ai/v2/models/lung/infer": ("triton", "predict", "lung"),
        "/v2/repository/models/lung/unload": ("triton", "unload", "lung"),
        "/v1/models/lung:predict": ("kserve", "predict", "lung"),
        "/v1/models/lung:explain": ("kserve", "predict", "lung"),
        "/predictions/lung/2.0": ("torchserve", "predict", "lung"),
        "/infer/spleen": ("monai", "predict", "spleen"),
        "/v1/chat/completions": ("openai", "chat", ""),
        "/v1/completions": ("openai", "chat", ""),
        "/v1/embeddings": ("openai", "embed", ""),
        "/api/generate": ("ollama", "chat", ""),
        "/api/embed": ("ollama", "embed", ""),
        "/api/delete": ("ollama", "delete", ""),
        "/models": ("torchserve", "register", ""),
        "/models/lung?url=http://x": ("torchserve", "register", "lung"),
        "/v2/models/RAO%5EANITA/infer": ("triton", "predict", "other"),
        f"/v2/models/{'x' * 65}/infer": ("triton", "predict", "other"),
        "/v2/health/ready": ("", "other", ""),
        "/": ("", "other", ""),
        "": ("", "other", ""),
    }.items(),
)
def test_the_path_tells_the_server_and_the_act(uri: str, expected: tuple[str, str, str]) -> None:
    fields = parse(uri=uri).fields
    assert (fields["server"], fields["action"], fields["model"]) == expected


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        ({"cn": ""}, "user", "k1"),
        ({"cn": "x" * 999}, "user", "x" * 256),
        ({"dur": "-"}, "duration", 0),
        ({"dur": -1.0}, "duration", 0),
        ({"dur": 1e9}, "duration", 0),
        ({"dur": 2}, "duration", 2_000_000_000),
        ({"c1": ""}, "confidence", None),
        ({"c1": "nan"}, "confidence", None),
        ({"c1": "-0.1"}, "confidence", None),
        ({"ent": "inf"}, "entropy", None),
        ({"method": "RAO ANITA"}, "method", "other"),
        ({"method": ""}, "method", "other"),
        ({"method": "ANITA"}, "method", "other"),
        ({"method": "post"}, "method", "other"),
        ({"up": "[2001:db8::5]:8000"}, "destination", "2001:db8::5"),
        ({"up": "10.0.0.5:99999"}, "destination_port", 65_535),
    ],
)
def test_odd_values(change: dict[str, object], field: str, expected: object) -> None:
    assert parse(**change).fields[field] == expected


@pytest.mark.parametrize("up", ["-", "", "unix:/run/model.sock", "10.0.0.5:1, 10.0.0.6:2", "name:80"])
def test_no_upstream(up: str) -> None:
    assert "destination" not in parse(up=up).fields


@pytest.mark.parametrize(
    "change", [{"msec": 0}, {"msec": -1}, {"msec": 1 << 32}, {"msec": "1"}, {"client": None}, {"status": "x"}]
)
def test_another_shape_is_a_value_error(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(**change)


def test_only_the_smallest_line_is_asked_for() -> None:
    fact = Gateway().parse(b'{"msec": 1.0, "client": "10.0.0.1", "uri": "/"}')
    assert (fact.fields["user"], fact.fields["sketch"], fact.fields["status"]) == ("", (), 0)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=20),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5), part, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*LINE]), JSON) | st.binary())
def test_anything_is_a_fact_or_a_value_error(change: dict[str, object] | bytes) -> None:
    content = change if isinstance(change, bytes) else json.dumps({**LINE, **change}).encode()
    try:
        fact = Gateway().parse(content)
    except ValueError:
        return
    assert 0 < fact.when < 1 << 53
    assert all(isinstance(value, int) and value >= 0 for name, value in fact.fields.items() if name == "duration")


def test_a_change_of_the_server_is_of_another_dataset() -> None:
    fact = parse(uri="/models?url=/tmp/lung.mar")
    assert fact.dataset == "ai.model_access"
    assert fact.fields == {
        "source": "10.0.0.9",
        "user": "CN=reader7",
        "server": "torchserve",
        "model": "",
        "action": "register",
        "status": 200,
        "provider": "ai-gateway",
        "place": "temporary",
        "destination": "10.0.0.5",
        "destination_port": 8000,
    }
    assert set(fact.fields) <= {field.name for field in msgspec.structs.fields(AiModelAccess)}
