"""What the verbs set up: rules, baselines and event files, each refused in one sentence where it cannot be used."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from detector.baseline import Baseline
from detector.config import DetectorConfig
from detector.setup import EventFile, case_path, load_knowledge, load_rules, make_intake, save_baseline
from nigrani.service.config import load
from nigrani.service.errors import BadConfig, Problem
from nigrani.stream.codec import MAX_LINE, encode, encode_lines

if TYPE_CHECKING:
    from tests.detector.conftest import Learnt, Maker

BROKEN_RULE = """title: Broken
id: 2f0c7a52-6f0e-4d0e-9d1a-2f1d7c1f4b11
status: test
logsource: {product: healthcare, service: dns}
detection:
  any: {no.such.field: A}
  condition: any
level: high
"""


class TestRules:
    def test_the_shipped_ones_load(self) -> None:
        assert len(load_rules().rules) >= 14

    def test_the_sites_own_come_beside_them(self, tmp_path: Path) -> None:
        good = BROKEN_RULE.replace("no.such.field", "dns.question.type")
        (tmp_path / "own.yml").write_text(good + "custom: {risk: 50, runbook: own, first_steps: [Look.]}\n")
        assert len(load_rules([tmp_path]).rules) == len(load_rules().rules) + 1

    def test_every_fault_is_told_with_its_place(self, tmp_path: Path) -> None:
        (tmp_path / "a.yml").write_text(BROKEN_RULE)
        (tmp_path / "b.yml").write_text("title: [unclosed\n")
        with pytest.raises(BadConfig) as refusal:
            load_rules([str(tmp_path)])
        assert refusal.value.code == 78
        assert {Path(fault.path).name for fault in refusal.value.faults} == {"a.yml", "b.yml"}
        assert {Path(fault.path).name: fault.line for fault in refusal.value.faults}["a.yml"] == 6
        assert all(fault.remedy for fault in refusal.value.faults)

    def test_a_missing_folder_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(BadConfig, match="nowhere"):
            load_rules([tmp_path / "nowhere"])


class TestCases:
    def test_they_are_filled_from_the_alerts_of_the_embedded_bus(self, state: Path) -> None:
        config = load(DetectorConfig, None)
        assert case_path(config) == state / "cases.db"
        intake = make_intake(config)
        assert intake is not None
        assert not (state / "cases.db").exists(), "nothing is opened yet"
        intake.start()
        assert intake.settle(60)
        intake.close()
        assert (state / "cases.db").exists()

    def test_another_detector_may_have_them(self, state: Path) -> None:
        assert make_intake(load(DetectorConfig, None, ["cases.enabled=false"])) is None


class TestBaseline:
    def test_it_is_kept_for_its_owner_and_loads(self, learnt: Learnt, state: Path, tmp_path: Path) -> None:
        path = tmp_path / "b.npz"
        save_baseline(learnt.baseline, path)
        assert path.stat().st_mode & 0o007 == 0
        assert (state / "baseline.key").stat().st_mode & 0o077 == 0
        assert load_knowledge(path).fingerprint == learnt.knowledge.fingerprint

    def test_one_of_before_there_were_classes_works_and_says_so(
        self, learnt: Learnt, state: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = tmp_path / "b.npz"
        save_baseline(learnt.baseline, path)
        load_knowledge(path)
        assert not caplog.messages
        arrays = {name: array for name, array in learnt.baseline.arrays.items() if not name.startswith("classes.")}
        save_baseline(Baseline(learnt.baseline.header, arrays), path)
        assert load_knowledge(path).classes is None
        [told] = caplog.messages
        assert told.startswith(f"{path}: learnt by a version without classes of devices: train anew")

    def refusal(self, path: Path, *trusted: Path) -> str:
        with pytest.raises(Problem) as refusal:
            load_knowledge(path, trusted)
        text = str(refusal.value)
        assert refusal.value.code == 1
        assert "\n" not in text
        assert text.count(str(path)) <= 1, "the file is named once"
        return text

    def test_a_missing_file(self, state: Path, tmp_path: Path) -> None:
        assert self.refusal(tmp_path / "b.npz") == f"{tmp_path}/b.npz: cannot be read: No such file or directory"

    def test_a_folder(self, state: Path, tmp_path: Path) -> None:
        assert "Is a directory" in self.refusal(tmp_path)

    @pytest.mark.parametrize("keep", [0, 3, 4000, -1])
    def test_a_cut_file(self, learnt: Learnt, state: Path, tmp_path: Path, keep: int) -> None:
        path = tmp_path / "b.npz"
        save_baseline(learnt.baseline, path)
        path.write_bytes(path.read_bytes()[:keep])
        assert self.refusal(path).startswith(f"{path}: the ")

    def test_a_changed_byte(self, learnt: Learnt, state: Path, tmp_path: Path) -> None:
        path = tmp_path / "b.npz"
        save_baseline(learnt.baseline, path)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        assert "altered after it was signed" in self.refusal(path)

    def test_another_hosts_key_is_trusted_only_when_named(
        self, learnt: Learnt, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "b.npz"
        save_baseline(learnt.baseline, path)
        monkeypatch.setenv("NIGRANI_STATE", str(tmp_path / "other"))
        assert "not trusted here" in self.refusal(path)
        assert load_knowledge(path, [state / "baseline.pub"]).fingerprint == learnt.knowledge.fingerprint

    def test_other_features(self, learnt: Learnt, state: Path, tmp_path: Path) -> None:
        header = {**learnt.baseline.header, "features": ["bytes"], "schema": "0" * 16}
        save_baseline(Baseline(header, learnt.baseline.arrays), tmp_path / "b.npz")
        assert "train anew" in self.refusal(tmp_path / "b.npz")

    def test_another_format(self, learnt: Learnt, state: Path, tmp_path: Path) -> None:
        header = {**learnt.baseline.header, "format": 99}
        save_baseline(Baseline(header, learnt.baseline.arrays), tmp_path / "b.npz")
        assert "format 99" in self.refusal(tmp_path / "b.npz")

    def test_parts_that_do_not_fit(self, learnt: Learnt, state: Path, tmp_path: Path) -> None:
        arrays = {name: array for name, array in learnt.baseline.arrays.items() if name != "habits.spread"}
        save_baseline(Baseline(learnt.baseline.header, arrays), tmp_path / "b.npz")
        told = self.refusal(tmp_path / "b.npz")
        assert told.startswith(f"{tmp_path}/b.npz: ")
        assert "does not hold together" in told

    def test_a_key_that_others_can_read(self, learnt: Learnt, state: Path, tmp_path: Path) -> None:
        path = tmp_path / "b.npz"
        save_baseline(learnt.baseline, path)
        (state / "baseline.key").chmod(0o644)
        assert "chmod 600" in self.refusal(path)

    def test_a_trusted_key_that_is_missing(self, state: Path, tmp_path: Path) -> None:
        assert "nobody.pub: cannot be read" in self.refusal(tmp_path / "b.npz", tmp_path / "nobody.pub")

    def test_nowhere_to_write(self, learnt: Learnt, state: Path, tmp_path: Path) -> None:
        with pytest.raises(Problem, match="cannot be written: No such file") as refusal:
            save_baseline(learnt.baseline, tmp_path / "nowhere" / "b.npz")
        assert str(refusal.value).count("b.npz") == 1


class TestEventFile:
    def read(self, data: bytes) -> tuple[list[str], EventFile]:
        file = EventFile(io.BytesIO(data), "in.ndjson")
        return [event.id for event in file], file

    def test_events_in_order(self, make: Maker) -> None:
        data = encode_lines([make.flow(), make.hl7(), make.ai()])
        ids, file = self.read(data)
        assert ids == ["e0", "e1", "e2"]
        assert (file.lines, file.bad, file.bytes, file.report()) == (3, 0, len(data), "")

    def test_a_last_line_without_its_end(self, make: Maker) -> None:
        assert self.read(encode_lines([make.flow()]).rstrip())[0] == ["e0"]

    def test_broken_lines_are_counted_and_the_first_is_told(self, make: Maker) -> None:
        bare = b'{"event.dataset": "network.flow"}'
        lines = [encode(make.flow()), b"not json", encode(make.flow()), bare, encode(make.ai())]
        ids, file = self.read(b"\n".join(lines))
        assert ids == ["e0", "e1", "e2"]
        assert file.bad == 2
        assert file.report().startswith("in.ndjson:2: no event: JSON is malformed")
        assert file.report().endswith("(skipped 2 of 5 lines)")

    def test_blank_lines_are_nothing(self, make: Maker) -> None:
        ids, file = self.read(b"\n \n" + encode(make.flow()) + b"\r\n\n")
        assert ids == ["e0"]
        assert file.bad == 0

    @pytest.mark.parametrize("length", [MAX_LINE, MAX_LINE + 1, MAX_LINE + 2, 2 * MAX_LINE, 2 * MAX_LINE + 1, 5 * MAX_LINE])
    @pytest.mark.parametrize("ended", [True, False])
    def test_an_endless_line_is_one_fault(self, make: Maker, length: int, *, ended: bool) -> None:
        good = encode(make.flow())
        data = good + b"\n" + b"x" * length + (b"\n" + encode(make.ai()) if ended else b"")
        ids, file = self.read(data)
        assert ids == (["e0", "e1"] if ended else ["e0"])
        assert (file.bad, file.lines, file.bytes) == (1, 3 if ended else 2, len(data))

    def test_what_an_attacker_wrote_cannot_steer_the_terminal(self) -> None:
        _, file = self.read(b'{"event.dataset": "\\u001b[2J\\nall is well"}\n')
        assert file.bad == 1
        assert file.report().isprintable()
