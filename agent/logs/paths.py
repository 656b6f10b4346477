"""What the path of a request to an inference server tells: the kind of server, the act and the model."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

MAX_URI = 2048
"""What follows is not looked at."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"})
"""RFC 9110 §9 and RFC 5789; any other word is a client's own invention."""

INFERENCES = frozenset({"predict", "chat", "embed", "other"})
"""Acts of `ai.inference`; all others change a server, and are `ai.model_access`."""

_PATHS: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(shape), server, action)
    for shape, server, action in (
        (r"/v2/models/([^/]+)(?:/versions/[^/]+)?/infer", "triton", "predict"),
        (r"/v2/repository/models/([^/]+)/load", "triton", "load"),
        (r"/v2/repository/models/([^/]+)/unload", "triton", "unload"),
        (r"/v2/repository/index()", "triton", "list"),
        (r"/v2/(?:models/([^/]+)/)?(?:trace/setting|logging)", "triton", "config"),
        (r"/v2/models/([^/]+)(?:/versions/[^/]+)?(?:/(?:ready|config|stats))?", "triton", "other"),
        (r"/v[12]/models/([^/:]+):(?:predict|explain)", "kserve", "predict"),
        (r"/v1/models(?:/([^/:]+))?", "openai", "other"),
        (r"/predictions/([^/]+)(?:/[^/]+)?", "torchserve", "predict"),
        (r"/infer/([^/]+)", "monai", "predict"),
        (r"/v1/(?:chat/)?completions()", "openai", "chat"),
        (r"/v1/embeddings()", "openai", "embed"),
        (r"/v1/(?:un)?load_lora_adapter()", "openai", "load"),
        (r"/api/(?:generate|chat)()", "ollama", "chat"),
        (r"/api/(?:embed|embeddings)()", "ollama", "embed"),
        (r"/api/(?:pull)()", "ollama", "download"),
        (r"/api/(?:push)()", "ollama", "upload"),
        (r"/api/(?:create|copy)()", "ollama", "register"),
        (r"/api/delete()", "ollama", "delete"),
        (r"/api/(?:tags|ps|show)()", "ollama", "list"),
        (r"/models(?:/([^/]+))?(?:/.*)?", "torchserve", "models"),
    )
)
"""Shape of the path → server and act; the group is the model's name."""

_MODELS = {"GET": "list", "HEAD": "list", "POST": "register", "PUT": "config", "DELETE": "unload"}
"""Act of TorchServe's management API (`/models`), by method."""

_MODEL = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_TEMPORARY = re.compile(r"(?:file:(?://)?)?/(?:tmp|var/tmp|dev/shm|run/user/\d+)(?:/|$)", re.IGNORECASE)
_HOME = re.compile(r"(?:file:(?://)?)?/(?:home|root|Users)(?:/|$)")
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://(?!/)", re.IGNORECASE)


class Request(NamedTuple):
    """What one request line tells."""

    server: str
    action: str
    model: str
    place: str
    """Of the model it names by `url`: store, temporary, home or remote; empty where it names none."""


def tell(method: str, uri: str) -> Request:
    """The request, from its path, whatever stands before that, and percent-encoded or not."""
    path, _, query = uri[:MAX_URI].partition("?")
    path = unquote(path, errors="replace")
    for shape, server, action in _PATHS:
        found = shape.search(path)
        if found and found.end() == len(path):
            told = _MODELS.get(method, "config") if action == "models" else action
            return Request(server, told, model_name(found[1] or ""), _place(query) if told == "register" else "")
    return Request("", "other", "", "")


def model_name(name: str) -> str:
    """The name where it looks like one; `other` for what a client may have made up."""
    return name if not name or _MODEL.fullmatch(name) else "other"


def place_of(path: str) -> str:
    """Where a model is fetched from: a folder that anybody can write, somebody's own, over the network, or the store."""
    if _TEMPORARY.match(path):
        return "temporary"
    if _HOME.match(path):
        return "home"
    return "remote" if _REMOTE.match(path) and not path.lower().startswith("file:") else "store"


def _place(query: str) -> str:
    try:
        named = dict(parse_qsl(query, max_num_fields=32)).get("url", "")
    except ValueError:
        return ""
    return place_of(named) if named else ""
