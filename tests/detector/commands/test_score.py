"""`nigrani detector score`: alerts on standard output, everything else on standard error, and an exit code that says it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from detector.baseline import Baseline
from detector.setup import save_baseline
from nigrani.stream.codec import encode_lines

if TYPE_CHECKING:
    from nigrani.stream.event import Event
    from tests.detector.conftest import Learnt, Maker, Run


@pytest.fixture
def events(make: Maker, learnt: Learnt, tmp_path: Path) -> Path:
    """Benign minutes with a theft that only a baseline tells of and a scan that a rule does."""
    path = tmp_path / "events.ndjson"
    at = learnt.end
    bad: list[Event] = [
        make.flow(at + 300, "ip:ws1", destination="ip:server0", destination_zone="internet", source_payload=5 * 10**9),
        *make.scan(at + 600, "ip:ws2"),
    ]
    everything = sorted([*make.morning(15, seed=6, at=at), *bad], key=lambda event: event.timestamp)
    path.write_bytes(encode_lines(everything))
    return path


@pytest.fixture
def baseline(learnt: Learnt, state: Path, tmp_path: Path) -> Path:
    path = tmp_path / "baseline.npz"
    save_baseline(learnt.baseline, path)
    return path


def titles(done: subprocess.CompletedProcess[bytes]) -> list[str]:
    return [json.loads(line)["message"] for line in done.stdout.splitlines()]


def test_rules_and_anomalies_with_a_baseline(nigrani: Run, events: Path, baseline: Path) -> None:
    done = nigrani("detector", "score", events, "--baseline", baseline, "--json")
    assert done.returncode == 1
    assert titles(done) == ["Unusual amount of data sent to the internet", "Port scan"]
    assert done.stderr.decode().splitlines()[-1].endswith(" events, 2 alerts")
    assert b"no baseline" not in done.stderr


def test_rules_alone_without_one_and_it_says_so(nigrani: Run, events: Path) -> None:
    done = nigrani("detector", "score", events, "--json")
    assert done.returncode == 1
    assert titles(done) == ["Port scan"]
    assert b"nigrani: no baseline: rules alone" in done.stderr


def test_text_is_for_people(nigrani: Run, events: Path, baseline: Path) -> None:
    done = nigrani("detector", "score", events, "--baseline", baseline)
    text = done.stdout.decode()
    assert done.returncode == 1
    assert text.count("\n\n") == 2
    assert "HIGH  Port scan" in text
    assert "  do      " in text
    assert "{" not in text


def test_the_site_names_classes(nigrani: Run, events: Path, tmp_path: Path) -> None:
    config = tmp_path / "detector.yaml"
    config.write_text("devices: {tokens: {'ip:ws2': modality}}\n")
    done = nigrani("detector", "score", events, "--devices", config, "--json")
    [finding] = map(json.loads, done.stdout.splitlines())
    assert finding["unmapped"]["device_class"] == "modality"
    config.write_text("devices: {tokens: {'ip:ws2': scanner}}\n")
    refused = nigrani("detector", "score", events, "--devices", config)
    assert refused.returncode == 78
    assert b"there is no class `scanner`" in refused.stderr


def test_no_alert_is_exit_code_0_and_silence(nigrani: Run, make: Maker) -> None:
    done = nigrani("detector", "score", "-", "--json", given=encode_lines(make.morning(5)))
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.decode().endswith(" events, 0 alerts\n")


def test_the_same_input_gives_the_same_bytes(nigrani: Run, events: Path, baseline: Path) -> None:
    words = ("detector", "score", "--baseline", baseline)
    assert nigrani(*words, "--json", events).stdout == nigrani(*words, "--json", "-", given=events.read_bytes()).stdout
    assert nigrani(*words, events).stdout == nigrani(*words, events).stdout


def test_broken_lines_among_good_are_told_and_the_rest_is_scored(nigrani: Run, events: Path) -> None:
    lines = events.read_bytes().splitlines(keepends=True)
    broken = [part for line in lines for part in (line, b"}{\n")]
    done = nigrani("detector", "score", "-", "--json", given=b"".join(broken))
    assert done.returncode == 1
    assert titles(done) == ["Port scan"]
    [told] = [line for line in done.stderr.decode().splitlines() if "no event" in line]
    assert told.startswith("nigrani: -:2: no event: JSON is malformed")
    assert told.endswith(f"(skipped {len(lines)} of {2 * len(lines)} lines)")


def test_lines_that_are_no_event_at_all(nigrani: Run) -> None:
    done = nigrani("detector", "score", "-", "--json", given=b"one\ntwo\n\xff\xfe\n")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().splitlines()[-1] == "nigrani: -: no events"


def refusal(nigrani: Run, *words: str | Path, code: int = 1) -> str:
    done = nigrani("detector", "score", *words)
    assert (done.returncode, done.stdout) == (code, b"")
    [line] = done.stderr.decode().splitlines()
    return line


def test_missing_and_empty_files(nigrani: Run, events: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert refusal(nigrani, events, tmp_path / "none") == f"nigrani: {tmp_path}/none: No such file or directory"
    assert refusal(nigrani, tmp_path / "empty") == f"nigrani: {tmp_path}/empty: is empty"
    assert refusal(nigrani, tmp_path) == f"nigrani: {tmp_path}: Is a directory"
    assert "only once" in refusal(nigrani, "-", "-")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def tamper(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[5000] ^= 0x40
    path.write_bytes(data)


def unsign(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-164] + b" " * 164)


BAD = {
    "missing": (Path.unlink, "cannot be read: No such file or directory"),
    "cut": (cut, "cut short"),
    "tampered with": (tamper, "altered after it was signed"),
    "unsigned": (unsign, "never signed"),
    "something else": (lambda path: path.write_bytes(b"hello"), "not a baseline"),
}


@pytest.mark.parametrize(("change", "told"), BAD.values(), ids=BAD)
def test_a_baseline_that_must_not_be_used(nigrani: Run, events: Path, baseline: Path, change: object, told: str) -> None:
    assert callable(change)
    change(baseline)
    line = refusal(nigrani, events, "--baseline", baseline)
    assert line.startswith(f"nigrani: {baseline}: ")
    assert line.count(str(baseline)) == 1
    assert told in line


@pytest.mark.parametrize(
    ("header", "told"),
    [({"format": 2}, "has format 2"), ({"features": ["x"]}, "features are not this version's")],
    ids=["another format", "other features"],
)
def test_a_baseline_of_another_version(
    nigrani: Run, events: Path, learnt: Learnt, state: Path, tmp_path: Path, header: dict[str, object], told: str
) -> None:
    path = tmp_path / "other.npz"
    save_baseline(Baseline({**learnt.baseline.header, **header}, learnt.baseline.arrays), path)
    assert told in refusal(nigrani, events, "--baseline", path)


def test_a_baseline_of_another_host_needs_trust(
    nigrani: Run, events: Path, baseline: Path, state: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NIGRANI_STATE", str(tmp_path / "elsewhere"))
    assert "not trusted here" in refusal(nigrani, events, "--baseline", baseline)
    trusted = nigrani("detector", "score", events, "--baseline", baseline, "--trust", state / "baseline.pub", "--json")
    assert len(titles(trusted)) == 2


def test_rules_that_do_not_parse_are_exit_code_78_with_file_and_line(nigrani: Run, events: Path, tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text("title: A\nlogsource: [\n")
    (tmp_path / "two.yml").write_text("title: B\nid: no-uuid\nlogsource: {product: healthcare, service: dns}\n")
    done = nigrani("detector", "score", events, "--rules", tmp_path)
    assert (done.returncode, done.stdout) == (78, b"")
    told = done.stderr.decode()
    assert f"{tmp_path}/one.yml:3: " in told
    assert f"{tmp_path}/two.yml:" in told


@pytest.mark.parametrize("budget", ["0", "-1", "nan", "many"])
def test_a_budget_that_is_none_is_misuse(nigrani: Run, events: Path, budget: str) -> None:
    done = nigrani("detector", "score", events, f"--false-alarms-per-week={budget}")
    assert done.returncode == 2
    assert b"is no number above 0" in done.stderr


def test_a_reader_that_leaves_early_is_no_fault(events: Path, baseline: Path) -> None:
    """As `| head -1` does."""
    root = Path(__file__).parents[3]
    words = [sys.executable, "-m", "nigrani.cli", "detector", "score", str(events), "--baseline", str(baseline), "--json"]
    score = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root)
    assert score.stdout is not None
    score.stdout.close()
    assert score.stderr is not None
    told = score.stderr.read()
    score.stderr.close()
    score.wait(timeout=60)
    assert b"Traceback" not in told
    assert b"Exception ignored" not in told


def test_twenty_thousand_events(nigrani: Run, make: Maker, learnt: Learnt, baseline: Path) -> None:
    events = make.morning(450, seed=8, at=learnt.end)
    scan = make.scan(learnt.end + 3000, "ip:ws2")
    everything = sorted([*events, *scan], key=lambda event: event.timestamp)[:20_000]
    assert len(everything) == 20_000
    done = nigrani("detector", "score", "-", "--baseline", baseline, "--json", given=encode_lines(everything))
    assert done.returncode == 1
    assert "Port scan" in titles(done)
    assert b"nigrani: 20000 events, " in done.stderr
