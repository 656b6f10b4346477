from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.logs.paths import INFERENCES, Request, model_name, place_of, tell


@pytest.mark.parametrize(
    ("line", "expected"),
    {
        "POST /v2/models/lung/infer": ("triton", "predict", "lung"),
        "POST /v1/models/cxr%3Apredict": ("kserve", "predict", "cxr"),
        "POST /infer/spleen%20seg": ("monai", "predict", "other"),
        "POST /v2/repository/models/lung/load": ("triton", "load", "lung"),
        "POST /v2/repository/index": ("triton", "list", ""),
        "POST /v2/models/lung/trace/setting": ("triton", "config", "lung"),
        "POST /v2/trace/setting": ("triton", "config", ""),
        "POST /v2/logging": ("triton", "config", ""),
        "POST /v1/load_lora_adapter": ("openai", "load", ""),
        "GET /v2/models/lung": ("triton", "other", "lung"),
        "GET /v2/models/lung/versions/1/ready": ("triton", "other", "lung"),
        "GET /v1/models": ("openai", "other", ""),
        "GET /v1/models/lung": ("openai", "other", "lung"),
        "POST /api/pull": ("ollama", "download", ""),
        "POST /api/push": ("ollama", "upload", ""),
        "POST /api/create": ("ollama", "register", ""),
        "DELETE /api/delete": ("ollama", "delete", ""),
        "GET /api/tags": ("ollama", "list", ""),
        "GET /models": ("torchserve", "list", ""),
        "DELETE /models/lung/1.0": ("torchserve", "unload", "lung"),
        "PUT /models/lung?min_worker=3": ("torchserve", "config", "lung"),
        "GET /health": ("", "other", ""),
    }.items(),
)
def test_a_request_line(line: str, expected: tuple[str, str, str]) -> None:
    assert tell(*line.split()) == Request(*expected, "")
    server, action, _ = expected
    assert (action in INFERENCES) == (action in {"predict", "chat", "embed", "other"})
    assert server or action == "other"


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("/tmp/evil.mar", "temporary"),
        ("%2Fdev%2Fshm%2Fx.mar", "temporary"),
        ("file:///var/tmp/x.mar", "temporary"),
        ("/home/anita/x.mar", "home"),
        ("https://example.com/x.mar", "remote"),
        ("s3://bucket/x.mar", "remote"),
        ("file:///srv/models/x.mar", "store"),
        ("resnet-18.mar", "store"),
        ("/tmpfiles/x.mar", "store"),
        ("", ""),
    ],
)
def test_where_a_registered_model_comes_from(url: str, place: str) -> None:
    assert tell("POST", f"/models?initial_workers=1&url={url}").place == place


def test_a_place_is_told_of_a_path() -> None:
    assert [place_of(path) for path in ("/tmp", "/root/m", "/srv/m", "HTTP://x/m")] == [
        "temporary",
        "home",
        "store",
        "remote",
    ]


def test_a_name_that_is_none_is_not_told() -> None:
    assert [model_name(name) for name in ("", "cxr-7", "RAO^ANITA", "x" * 65)] == ["", "cxr-7", "other", "other"]


@given(st.text(max_size=20), st.text(max_size=100) | st.from_regex(r"/(v2|api|models)[/?%&=a-z0-9]*"))
def test_any_text_tells_something_bounded(method: str, uri: str) -> None:
    told = tell(method, uri)
    assert all(len(part) <= 64 for part in told)
