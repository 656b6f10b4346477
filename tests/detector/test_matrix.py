import re

import pytest

from detector.matrix import MATRIX, RELEASES, Technique, tag_warning, technique, techniques


@pytest.mark.parametrize(
    ("namespace", "form", "count"), [("attack", r"T\d{4}(\.\d{3})?", 697), ("atlas", r"AML\.T\d{4}(\.\d{3})?", 170)]
)
def test_a_matrix_is_whole(namespace: str, form: str, count: int) -> None:
    known = techniques(namespace)
    present = [one for one in known.values() if not one.instead]
    assert len(present) == count
    assert all(re.fullmatch(form, uid) and uid == one.id for uid, one in known.items())
    assert all(one.name and one.tactics and all(one.tactics) for one in present)
    assert all(known[one.instead].tactics for one in known.values() if one.instead)
    parents = {uid.rpartition(".")[0] for uid in known if re.search(r"\.\d{3}$", uid) and not known[uid].instead}
    assert parents <= known.keys()


def test_a_matrix_file_names_its_release_and_its_terms() -> None:
    assert RELEASES == {"attack": "ATT&CK v19", "atlas": "ATLAS 5.6.0"}
    assert ", ".join(RELEASES.values()) == MATRIX


def test_a_technique_has_its_name_tactics_and_page() -> None:
    found = technique("T1558.003")
    assert found == Technique("T1558.003", "Steal or Forge Kerberos Tickets: Kerberoasting", ("credential-access",))
    assert found.url == "https://attack.mitre.org/techniques/T1558/003/"
    model = technique("AML.T0010.003")
    assert model == Technique("AML.T0010.003", "AI Supply Chain Compromise: Model", ("initial-access",))
    assert model.url == "https://atlas.mitre.org/techniques/AML.T0010.003"
    assert technique("T1046").url == "https://attack.mitre.org/techniques/T1046/"  # type: ignore[union-attr] # it is there
    assert technique("T9999") is None


@pytest.mark.parametrize(
    "tag",
    ["attack.t1046", "attack.lateral-movement", "attack.stealth", "atlas.aml.t0024.002", "atlas.aml-t0010-003",
     "attack.g0007", "attack.s0002", "atlas.impact", "cve.2023-43654", "detection.emerging-threats", "car.2013-05-004"],
)  # fmt: skip
def test_what_the_matrices_have_is_not_told_of(tag: str) -> None:
    assert tag_warning(tag) is None


@pytest.mark.parametrize(
    ("tag", "message", "remedy"),
    [
        ("attack.t1558.009", "T1558.009 is no technique of ATT&CK v19", "did you mean `T1558.00"),
        ("attack.t1562.001", "T1562.001 was withdrawn from ATT&CK v19", "write attack.t1685 (Disable or Modify Tools)"),
        ("atlas.aml.t0024.009", "AML.T0024.009 is no technique of ATLAS 5.6.0", "did you mean `AML.T0024.00"),
        (
            "attack.defense-evasion",
            "`defense-evasion` is no tactic of ATT&CK v19",
            "attack.stealth or attack.defense-impairment",
        ),
        ("attack.lateral_movement", "`lateral_movement` is no tactic", "did you mean `lateral-movement`?"),
    ],
)
def test_what_they_do_not_have_is_told_with_the_nearest(tag: str, message: str, remedy: str) -> None:
    told = tag_warning(tag)
    assert told is not None
    assert message in told[0]
    assert remedy in told[1]
