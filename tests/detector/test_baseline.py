"""A baseline is the same bytes for the same content, and nothing else passes for it."""

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import baseline as module
from detector.baseline import (
    COMMENT_BYTES,
    FORMAT,
    HEADER,
    MARK,
    MAX_SEEN,
    Baseline,
    BaselineError,
    SeenSet,
    load,
    save,
    schema_hash,
)
from detector.model import Ensemble
from detector.signing import PUBLIC_NAME, Signer, Verifier, signing_key

ROOT = Path(__file__).parents[2]
FEATURES = ["bytes_out", "bytes_in", "peers"]


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return signing_key(tmp_path_factory.getbasetemp() / "keys")


@pytest.fixture(scope="module")
def verifier(signer: Signer, tmp_path_factory: pytest.TempPathFactory) -> Verifier:
    return Verifier([tmp_path_factory.getbasetemp() / "keys" / PUBLIC_NAME])


def small(arrays: dict[str, np.ndarray] | None = None, **header: Any) -> Baseline:
    made = Baseline.of(
        FEATURES,
        {
            "flow.ecod.knots": np.linspace(0, 1, 6).reshape(2, 3),
            "flow.iforest.feature": np.arange(3, dtype=np.int32),
            "sets.calling_ae": SeenSet.build(["CT1", "MR2"]).hashes,
            "device.names": np.array(["ip:aa", "ip:bbé"]),
            "device.none": np.zeros((0, 4), dtype=np.float32),
            "scalar": np.array(5, dtype=np.int64),
        }
        if arrays is None
        else arrays,
        window=("2026-01-05T00:00:00Z", "2026-01-12T00:00:00Z"),
        counts={"network.flow": 1000},
        models=["ecod"],
        seed=7,
        config={"gate": 0.1},
    )
    return Baseline({**made.header, **header}, made.arrays)


@pytest.fixture(scope="module")
def data(signer: Signer) -> bytes:
    return small().to_bytes(signer)


def same(one: Baseline, other: Baseline) -> bool:
    return (
        one.header == other.header
        and one.arrays.keys() == other.arrays.keys()
        and all(
            array.dtype == other.arrays[name].dtype and array.tobytes() == other.arrays[name].tobytes()
            for name, array in one.arrays.items()
        )
    )


class TestFile:
    def test_gives_back_what_was_saved(self, tmp_path: Path, signer: Signer, verifier: Verifier) -> None:
        save(small(), tmp_path / "b.npz", signer)
        assert same(load(tmp_path / "b.npz", verifier, FEATURES), small())
        assert [path.name for path in tmp_path.iterdir()] == ["b.npz"]
        assert (tmp_path / "b.npz").stat().st_mode & 0o137 == 0

    def test_numpy_and_zip_open_it(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "b.npz").write_bytes(data)
        with np.load(tmp_path / "b.npz", allow_pickle=False) as arrays:
            assert np.array_equal(arrays["flow.ecod.knots"], small().arrays["flow.ecod.knots"])
        with zipfile.ZipFile(tmp_path / "b.npz") as archive:
            assert archive.testzip() is None
            assert json.loads(archive.read(HEADER))["format"] == FORMAT

    def test_header_tells_where_it_comes_from(self) -> None:
        assert small().header == {
            "format": FORMAT,
            "features": FEATURES,
            "schema": schema_hash(FEATURES),
            "window": ["2026-01-05T00:00:00Z", "2026-01-12T00:00:00Z"],
            "counts": {"network.flow": 1000},
            "models": ["ecod"],
            "seed": 7,
            "config": {"gate": 0.1},
        }

    def test_section_leaves_the_prefix_out(self) -> None:
        assert set(small().section("flow")) == {"ecod.knots", "iforest.feature"}
        assert set(small().section("flow.ecod")) == {"knots"}
        assert small().section("flo") == {}

    def test_schema_hash_tells_names_and_order(self) -> None:
        assert len({schema_hash(names) for names in (["a", "b"], ["b", "a"], ["ab"], ["a,b"], [])}) == 5

    def test_holds_an_ensemble(self, tmp_path: Path, signer: Signer, verifier: Verifier) -> None:
        x = np.random.default_rng(0).standard_normal((300, 3))
        ensemble = Ensemble.fit(x[:200], x[200:], 0)
        arrays = {f"flow.{name}": array for name, array in ensemble.arrays().items()}
        save(small(arrays), tmp_path / "b.npz", signer)
        again = Ensemble.from_arrays(load(tmp_path / "b.npz", verifier).section("flow"), 3)
        assert np.array_equal(again.score(x).evidence, ensemble.score(x).evidence)


class TestDeterminism:
    def test_two_saves_are_the_same_bytes(self, signer: Signer, data: bytes) -> None:
        assert small().to_bytes(signer) == data

    def test_order_and_layout_of_arrays_do_not_matter(self, signer: Signer, data: bytes) -> None:
        arrays = dict(reversed(small().arrays.items()))
        arrays["flow.ecod.knots"] = np.asfortranarray(arrays["flow.ecod.knots"]).astype(">f8")
        assert small(arrays).to_bytes(signer) == data

    def test_another_process_trains_and_saves_the_same_bytes(self) -> None:
        code = """
import hashlib
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from detector.baseline import Baseline
from detector.model import Ensemble
from detector.signing import Signer
x = np.random.default_rng(0).standard_normal((400, 3))
arrays = Ensemble.fit(x[:300], x[300:], 5).arrays()
made = Baseline.of(["a"], arrays, window=("", ""), counts={}, models=[], seed=5, config={"b": 1, "a": {2: 3}})
print(hashlib.sha256(made.to_bytes(Signer(Ed25519PrivateKey.from_private_bytes(bytes(32))))).hexdigest())
"""
        run = [
            subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT, timeout=60).stdout
            for _ in range(2)
        ]
        assert run[0] == run[1]
        assert len(run[0]) == 65


class TestTampering:
    def test_no_flipped_bit_passes(self, verifier: Verifier, data: bytes) -> None:
        for at in range(len(data)):
            forged = bytearray(data)
            forged[at] ^= 1 << at % 8
            with pytest.raises(BaselineError):
                Baseline.from_bytes(bytes(forged), verifier)

    def test_no_bit_of_the_signature_passes_flipped(self, verifier: Verifier, data: bytes) -> None:
        for at in range(len(data) - COMMENT_BYTES - 22, len(data)):
            for bit in range(8):
                forged = bytearray(data)
                forged[at] ^= 1 << bit
                with pytest.raises(BaselineError):
                    Baseline.from_bytes(bytes(forged), verifier)

    def test_no_cut_passes(self, verifier: Verifier, data: bytes) -> None:
        for length in [*range(0, len(data), 13), *range(len(data) - COMMENT_BYTES - 30, len(data))]:
            with pytest.raises(BaselineError, match=r"cut short|not a baseline"):
                Baseline.from_bytes(data[:length], verifier)

    @given(st.data())
    @settings(max_examples=100, deadline=None)
    def test_no_splice_passes(self, verifier: Verifier, data: bytes, draw: st.DataObject) -> None:
        at, end = sorted(draw.draw(st.tuples(st.integers(0, len(data)), st.integers(0, len(data)))))
        forged = data[:at] + draw.draw(st.binary(max_size=40)) + data[end:]
        if forged != data:
            with pytest.raises(BaselineError):
                Baseline.from_bytes(forged, verifier)

    @given(st.binary(max_size=300))
    @settings(deadline=None)
    def test_no_random_bytes_pass(self, verifier: Verifier, junk: bytes) -> None:
        with pytest.raises(BaselineError):
            Baseline.from_bytes(junk, verifier)

    def test_says_that_it_was_altered(self, verifier: Verifier, data: bytes) -> None:
        with pytest.raises(BaselineError, match="altered after it was signed"):
            Baseline.from_bytes(data.replace(b"2026-01-05", b"2025-01-05"), verifier)

    def test_says_that_the_key_is_not_trusted(self, verifier: Verifier) -> None:
        other = Signer(Ed25519PrivateKey.generate())
        with pytest.raises(BaselineError, match=f"signed by the key {other.key_id}, which is not trusted"):
            Baseline.from_bytes(small().to_bytes(other), verifier)

    def test_a_signature_under_a_trusted_name_needs_its_key(self, signer: Signer, verifier: Verifier) -> None:
        other = Signer(Ed25519PrivateKey.generate())
        other.key_id = signer.key_id
        with pytest.raises(BaselineError, match="altered"):
            Baseline.from_bytes(small().to_bytes(other), verifier)

    def test_says_that_it_was_never_signed(self, tmp_path: Path, verifier: Verifier) -> None:
        np.savez(tmp_path / "b.npz", a=np.zeros(3))
        with pytest.raises(BaselineError, match=r"b\.npz: the baseline is cut short, or was never signed"):
            load(tmp_path / "b.npz", verifier)

    def test_nothing_is_parsed_before_the_signature(
        self, verifier: Verifier, data: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module.zipfile, "ZipFile", lambda *_: pytest.fail("parsed"))
        with pytest.raises(BaselineError):
            Baseline.from_bytes(data[:-1] + (b"0" if data[-1:] != b"0" else b"1"), verifier)


def signed(signer: Signer, members: list[tuple[zipfile.ZipInfo | str, bytes]], compression: int = 0) -> bytes:
    """An archive that a trusted key did sign, whatever is in it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.comment = b" " * COMMENT_BYTES
        for name, content in members:
            archive.writestr(name, content)
    body = file.getvalue()[:-COMMENT_BYTES]
    return body + MARK + f"{signer.key_id} {signer.sign(body).hex()}".encode()


def npy(array: np.ndarray, version: tuple[int, int] = (1, 0)) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version, allow_pickle=True)
    return file.getvalue()


def header(**changes: object) -> bytes:
    return json.dumps(
        {"format": FORMAT, "features": FEATURES, "schema": schema_hash(FEATURES), "arrays": {"a": ["<f8", [3]]}} | changes
    ).encode()


GOOD = npy(np.zeros(3))
RAW = GOOD[:-24]
HOSTILE: dict[str, tuple[list[tuple[str, bytes]], str]] = {
    "no member": ([], "not a baseline"),
    "no header": ([("a.npy", GOOD)], "header is missing"),
    "header of no JSON": ([(HEADER, b"{"), ("a.npy", GOOD)], "not JSON"),
    "header of deep JSON": ([(HEADER, b"[" * 100_000), ("a.npy", GOOD)], "not JSON"),
    "header of a list": ([(HEADER, b"[]"), ("a.npy", GOOD)], "not an object"),
    "another version": (
        [(HEADER, header(format=FORMAT + 1)), ("a.npy", GOOD)],
        "has format 2, and this version reads 1",
    ),
    "arrays not listed": ([(HEADER, header(arrays=[])), ("a.npy", GOOD)], "lists no arrays"),
    "features not listed": ([(HEADER, header(features="abc")), ("a.npy", GOOD)], "lists no arrays or no features"),
    "a member too many": ([(HEADER, header()), ("a.npy", GOOD), ("b.npy", GOOD)], "members are not those"),
    "a member too few": ([(HEADER, header())], "members are not those"),
    "a member of another name": ([(HEADER, header()), ("../a.npy", GOOD)], "members are not those"),
    "no .npy": ([(HEADER, header()), ("a.npy", b"x" * 100)], "not a .npy file"),
    "an empty .npy": ([(HEADER, header()), ("a.npy", b"")], "not a .npy file"),
    "a later .npy": ([(HEADER, header()), ("a.npy", npy(np.zeros(3), (2, 0)))], "another .npy version"),
    "another type": ([(HEADER, header()), ("a.npy", npy(np.zeros(3, dtype=np.float32)))], "type and shape"),
    "another shape": ([(HEADER, header()), ("a.npy", npy(np.zeros(4)))], "type and shape"),
    "other layout": (
        [(HEADER, header(arrays={"a": ["<f8", [2, 2]]})), ("a.npy", npy(np.asfortranarray(np.eye(2))))],
        "type and shape",
    ),
    "a pickle": (
        [(HEADER, header(arrays={"a": ["|O", [1]]})), ("a.npy", npy(np.array([print], dtype=object)))],
        "type and shape",
    ),
    "a type not allowed": (
        [(HEADER, header(arrays={"a": ["<c16", [3]]})), ("a.npy", npy(np.zeros(3, dtype=complex)))],
        "type and shape",
    ),
    "more data than declared": ([(HEADER, header()), ("a.npy", GOOD + b"x")], "longer or shorter"),
    "less data than declared": ([(HEADER, header()), ("a.npy", GOOD[:-1])], "longer or shorter"),
    "an enormous shape": (
        [
            (HEADER, header(arrays={"a": ["<f8", [1 << 61]]})),
            ("a.npy", RAW.replace(b"(3,)", b"(2305843009213693952,)")),
        ],
        "longer or shorter|not a .npy",
    ),
    "a shape below 0": (
        [(HEADER, header(arrays={"a": ["<f8", [-1, -3]]})), ("a.npy", RAW.replace(b"(3,), ", b"(-1,-3)") + bytes(24))],
        "type and shape|not a .npy",
    ),
    "not a number": ([(HEADER, header()), ("a.npy", npy(np.array([0.0, np.nan, 0.0])))], "not finite"),
    "no character": (
        [(HEADER, header(arrays={"a": ["<U1", [1]]})), ("a.npy", npy(np.array(["a"]))[:-4] + b"\xff\xff\xff\xff")],
        "a character that is none",
    ),
}


class TestSignedButWrong:
    """A trusted signer's mistakes, and what the check behind the signature is worth."""

    def test_the_forger_of_these_tests_can_make_a_good_one(self, signer: Signer, verifier: Verifier) -> None:
        made = Baseline.from_bytes(signed(signer, [(HEADER, header()), ("a.npy", GOOD)]), verifier, FEATURES)
        assert made.arrays["a"].tolist() == [0, 0, 0]

    @pytest.mark.parametrize("name", HOSTILE)
    def test_refuses(self, signer: Signer, verifier: Verifier, name: str) -> None:
        members, message = HOSTILE[name]
        with pytest.raises(BaselineError, match=message):
            Baseline.from_bytes(signed(signer, members), verifier)

    def test_refuses_a_bomb(self, signer: Signer, verifier: Verifier) -> None:
        bomb = signed(signer, [(HEADER, header()), ("a.npy", bytes(50_000_000))], zipfile.ZIP_DEFLATED)
        assert len(bomb) < 100_000
        with pytest.raises(BaselineError, match="compressed"):
            Baseline.from_bytes(bomb, verifier)

    @pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
    def test_refuses_a_member_twice(self, signer: Signer, verifier: Verifier) -> None:
        with pytest.raises(BaselineError, match="one twice"):
            Baseline.from_bytes(signed(signer, [(HEADER, header()), ("a.npy", GOOD), ("a.npy", GOOD)]), verifier)

    def test_refuses_members_that_share_bytes(self, signer: Signer, verifier: Verifier) -> None:
        names = [f"a{n}" for n in range(50)]
        content = npy(np.zeros(1000))
        whole = signed(signer, [(HEADER, header(arrays={n: ["<f8", [1000]] for n in names})), ("a0.npy", content)])
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            infos = archive.infolist()
        file = io.BytesIO(whole[: infos[1].header_offset + 30 + len("a0.npy") + len(content)])
        with zipfile.ZipFile(file, "a") as archive:
            archive.comment = b" " * COMMENT_BYTES
            archive.filelist = [infos[0], *(_alias(infos[1], f"{n}.npy") for n in names)]
            archive._didModify = True
        body = file.getvalue()[:-COMMENT_BYTES]
        forged = body + MARK + f"{signer.key_id} {signer.sign(body).hex()}".encode()
        with pytest.raises(BaselineError, match="larger than the file"):
            Baseline.from_bytes(forged, verifier)

    def test_refuses_a_signed_text(self, signer: Signer, verifier: Verifier) -> None:
        body = b"PK\x03\x04 and then nothing of a zip"
        forged = body + MARK + f"{signer.key_id} {signer.sign(body).hex()}".encode()
        with pytest.raises(BaselineError, match="not a zip file"):
            Baseline.from_bytes(forged, verifier)

    @given(st.data())
    @settings(max_examples=150, deadline=None)
    def test_any_change_that_is_signed_gives_a_baseline_or_its_error(
        self, signer: Signer, verifier: Verifier, data: bytes, draw: st.DataObject
    ) -> None:
        body = bytearray(data[:-COMMENT_BYTES])
        for at in draw.draw(st.lists(st.integers(4, len(body) - 1), min_size=1, max_size=4)):
            body[at] = draw.draw(st.integers(0, 255))
        forged = bytes(body) + MARK + f"{signer.key_id} {signer.sign(bytes(body)).hex()}".encode()
        try:
            made = Baseline.from_bytes(forged, verifier)
        except BaselineError:
            return
        assert all(np.isfinite(array).all() for array in made.arrays.values() if array.dtype.kind == "f")


class TestFeatures:
    def test_refuses_other_features_and_names_them(self, verifier: Verifier, data: bytes) -> None:
        with pytest.raises(BaselineError, match="unknown: peers; missing: entropy"):
            Baseline.from_bytes(data, verifier, [*FEATURES[:2], "entropy"])

    def test_refuses_another_order(self, verifier: Verifier, data: bytes) -> None:
        with pytest.raises(BaselineError, match="another order"):
            Baseline.from_bytes(data, verifier, FEATURES[::-1])

    def test_refuses_a_hash_that_is_not_the_names(self, signer: Signer, verifier: Verifier) -> None:
        with pytest.raises(BaselineError, match="train anew"):
            Baseline.from_bytes(small(schema="0" * 16).to_bytes(signer), verifier, FEATURES)


class TestSaving:
    @pytest.mark.parametrize(
        ("name", "array", "message"),
        [
            ("A", np.zeros(1), "no name for an array"),
            ("a..b", np.zeros(1), "no name for an array"),
            ("../a", np.zeros(1), "no name for an array"),
            ("a" * 201, np.zeros(1), "no name for an array"),
            ("a", np.array([np.inf]), "not finite"),
            ("a", np.array([object()]), "does not hold"),
            ("a", np.zeros(1, dtype=bool), "does not hold"),
            ("a", np.zeros(1, dtype="datetime64[s]"), "does not hold"),
            ("a", np.zeros(1, dtype=[("x", "<f8")]), "does not hold"),
        ],
    )
    def test_refuses_what_loading_would(self, signer: Signer, name: str, array: np.ndarray, message: str) -> None:
        with pytest.raises(BaselineError, match=message):
            small({name: array}).to_bytes(signer)

    @pytest.mark.parametrize("value", [float("nan"), object(), {1: 2, "1": 3}])
    def test_refuses_a_header_that_is_no_json(self, signer: Signer, value: object) -> None:
        with pytest.raises(BaselineError, match="cannot be written as JSON"):
            small(note=value).to_bytes(signer)

    def test_refuses_to_grow_beyond_what_loading_takes(
        self, signer: Signer, verifier: Verifier, data: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MAX_BYTES", len(data) - 1)
        with pytest.raises(BaselineError, match="too large"):
            small().to_bytes(signer)
        with pytest.raises(BaselineError, match="larger than"):
            Baseline.from_bytes(data, verifier)

    def test_a_failed_save_leaves_the_old_file(self, tmp_path: Path, signer: Signer, data: bytes) -> None:
        (tmp_path / "b.npz").mkdir()
        with pytest.raises(BaselineError, match=r"b\.npz: cannot be written"):
            save(small(), tmp_path / "b.npz", signer)
        assert [path.name for path in tmp_path.iterdir()] == ["b.npz"]

    def test_says_which_file_is_missing(self, tmp_path: Path, verifier: Verifier) -> None:
        with pytest.raises(BaselineError, match=r"none\.npz: cannot be read: No such file"):
            load(tmp_path / "none.npz", verifier)


class TestSeenSet:
    @given(st.lists(st.text(), max_size=50), st.lists(st.text(), max_size=50))
    @settings(deadline=None)
    def test_holds_what_was_built_in_and_nothing_else(self, seen: list[str], asked: list[str]) -> None:
        values = SeenSet.build(seen)
        assert len(values) == len(set(seen))
        for value in [*asked, *seen, *asked]:
            assert (value in values) == (value in seen)

    def test_hashes_are_the_same_everywhere(self) -> None:
        digest = hashlib.blake2b(b"CT1", digest_size=8).digest()
        assert SeenSet.build(["CT1"]).hashes.tolist() == [int.from_bytes(digest, "little")]

    def test_lone_surrogates_have_a_hash(self) -> None:
        assert "\ud800" in SeenSet.build(["\ud800"])

    def test_memory_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_SEEN", 100)
        values = SeenSet.build(["a"])
        for n in range(1000):
            assert str(n) not in values
            assert len(values._known) <= 100
        assert "a" in values
        assert MAX_SEEN > 100

    @pytest.mark.parametrize(
        "hashes",
        [
            np.array([2, 1], dtype=np.uint64),
            np.array([1, 1], dtype=np.uint64),
            np.array([1, 2], dtype=np.int64),
            np.zeros((1, 1), dtype=np.uint64),
        ],
    )
    def test_refuses_forged_arrays(self, hashes: np.ndarray) -> None:
        with pytest.raises(ValueError, match="strictly ascending"):
            SeenSet(hashes)


def _alias(info: zipfile.ZipInfo, name: str) -> zipfile.ZipInfo:
    twin = zipfile.ZipInfo(name, info.date_time)
    twin.header_offset, twin.CRC = info.header_offset, info.CRC
    twin.compress_size = twin.file_size = info.file_size
    return twin
