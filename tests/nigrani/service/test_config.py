from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nigrani.service.config import MAX_BYTES, load
from nigrani.service.errors import BadConfig, Problem, Usage


@dataclass(frozen=True)
class Inner:
    size: int = 1
    path: Path | None = None
    mode: Literal["fast", "safe"] = "fast"

    def __post_init__(self) -> None:
        if self.size > 100:
            raise ValueError("inner.size is at most 100")


@dataclass(frozen=True)
class Deep:
    inner: Inner = field(default_factory=Inner)


@dataclass(frozen=True)
class Config:
    name: str
    number: int
    flag: bool = False
    share: float = 0.5
    names: tuple[str, ...] = ()
    zones: dict[str, tuple[str, ...]] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)
    deep: Deep = field(default_factory=Deep)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.yaml"


def faults(path: Path, text: str, *overrides: str) -> list[str]:
    path.write_text(text)
    with pytest.raises(BadConfig) as found:
        load(Config, path, overrides)
    return [str(fault).replace(str(path), "x") for fault in found.value.faults]


def test_layers_stand_one_over_the_other(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text("name: file\nnumber: 1\ninner:\n  size: 2\n  path: /file\ndeep:\n")
    assert load(Config, path) == Config("file", 1, inner=Inner(2, Path("/file")))
    monkeypatch.setenv("NIGRANI__number", "5")
    monkeypatch.setenv("NIGRANI__inner__size", "6")
    monkeypatch.setenv("NIGRANI__deep__inner__mode", "safe")
    found = load(Config, path, ["number=7", "names=[a, b]", "zones.ct=[10.0.0.0/8]", "name=a=b"])
    assert found == Config(
        "a=b",
        7,
        names=("a", "b"),
        zones={"ct": ("10.0.0.0/8",)},
        inner=Inner(6, Path("/file")),
        deep=Deep(Inner(mode="safe")),
    )


def test_without_a_file_the_other_layers_stand() -> None:
    assert load(Config, None, ["name=x", "number=1"]) == Config("x", 1)
    with pytest.raises(BadConfig, match="configuration: missing: name, number"):
        load(Config, None)


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}\n"])
def test_an_empty_file_is_the_defaults(path: Path, text: str) -> None:
    path.write_text(text)
    assert load(Inner, path) == Inner()


def test_all_faults_are_told_at_once(path: Path) -> None:
    text = "nam: x\nnumber: one\nflag: 3\nshare: much\ninner:\n  size: {}\n  mode: slow\n  other: 1\ndeep: 5\n"
    assert faults(path, text, "names=x") == [
        "x:1: unknown setting nam (did you mean name?)",
        "x:2: number: expected `int`, got `str`",
        "x:3: flag: expected `bool`, got `int`",
        "x:4: share: expected `float`, got `str`",
        "x:6: inner.size: expected `int`, got `object`",
        "x:7: inner.mode: invalid enum value 'slow' (one of fast, safe)",
        "x:8: unknown setting inner.other (known here: mode, path, size)",
        "x:9: deep is a group of settings, not one value",
        "--set names: names: expected `array`, got `str`",
        "x: missing: name",
    ]


def test_a_path_may_be_a_credential(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "site.key").touch()
    path.write_text("name: x\nnumber: 1\ninner:\n  path: credential:site.key\n")
    assert load(Config, path).inner.path == tmp_path / "site.key"
    assert faults(path, "name: x\nnumber: 1\ninner:\n  path: credential:kafka.key\n") == [
        "x:4: inner.path: the service was given no credential kafka.key: put it into /etc/credstore and restart"
    ]


def test_a_layers_fault_names_the_layer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGRANI__inner__size", "many")
    monkeypatch.setenv("NIGRANI__flags", "true")
    assert faults(path, "name: x\nnumber: 1\ninner:\n  size: 2\n", "number=two", "share=[") == [
        "--set share: '[' is no value",
        "--set number: number: expected `int`, got `str`",
        "environment NIGRANI__inner__size: inner.size: expected `int`, got `str`",
        "environment NIGRANI__flags: unknown setting flags (did you mean flag?)",
    ]


def test_a_setting_stands_once(path: Path) -> None:
    assert faults(path, "name: x\nnumber: 1\ninner: {size: 1}\nname: y\ninner: {size: 2}\n") == [
        "x:4: name is set already in line 1",
        "x:5: inner is set already in line 3",
        "x:5: inner.size is set already in line 3",
    ]


def test_a_structures_own_check(path: Path) -> None:
    assert faults(path, "name: x\nnumber: 1\ninner:\n  size: 101\n") == ["x:4: inner.size is at most 100"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [1\nnumber: 2", "x:2: not YAML: "),
        ("a: b: c", "x:1: not YAML: mapping values"),
        ("\tname: x", "x:1: not YAML: "),
        ("name: \0", "x: not YAML: "),
        ("a: &n x\nname: *n", "x: YAML aliases"),
        ("name: *n", "x:1: not YAML: found undefined alias"),
        ("name: !!python/object/apply:os.system [id]", "x:1: not YAML: could not determine"),
        ("a: 1\n---\nb: 2", "x:2: not YAML: "),
        ("[" * 5000, "x"),
        ("just text", "x:1: a configuration is a mapping"),
        ("[1]", "x:1: a configuration is a mapping"),
        ("? [a]\n: 1", "x:1: not YAML: "),
    ],
)
def test_what_is_no_configuration(path: Path, text: str, message: str) -> None:
    (fault,) = faults(path, text)
    assert fault.startswith(message)


def test_a_file_that_is_no_text_or_too_long(path: Path) -> None:
    path.write_bytes(b"name: \xff\xfa")
    with pytest.raises(BadConfig, match="not YAML"):
        load(Config, path)
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(BadConfig, match="are no configuration"):
        load(Config, path)


def test_a_file_that_cannot_be_read(path: Path) -> None:
    with pytest.raises(Problem, match=r"x\.yaml: No such file"):
        load(Config, path)
    with pytest.raises(Problem, match="Is a directory"):
        load(Config, path.parent)


def test_a_setting_is_key_and_value() -> None:
    with pytest.raises(Usage, match="--set name: a setting is written key=value"):
        load(Config, None, ["name"])


SYNTAX = st.sampled_from("name:number 1[]{}-,&*!|>'\"#\n\t%@`\0\ufeff\x85é")


@given(st.text(SYNTAX, max_size=40) | st.text(max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_a_configuration_or_told(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="replace")
    with contextlib.suppress(BadConfig):
        load(Config, path)
