"""HL7 v2 messages about patients who do not exist (HL7 v2.5 chapters 3, 4 and 7)."""

from __future__ import annotations

import time
from random import Random

TESTS = ("HB^Haemoglobin^L", "NA^Sodium^L", "K^Potassium^L", "CREA^Creatinine^L")


def _header(sender: str, receiver: str, kind: str, rng: Random) -> str:
    stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime())
    return f"MSH|^~\\&|{sender}|HOSPITAL|{receiver}|HOSPITAL|{stamp}||{kind}|{rng.randrange(10**9):09d}|P|2.5"


def _patient(rng: Random) -> str:
    number = rng.randint(1, 60)
    return f"PID|1||T{number:06d}^^^HOSPITAL^MR||TEST^PATIENT{number:04d}||19700101|O"


def adt(rng: Random, event: str, sender: str = "HIS", receiver: str = "LIS") -> str:
    """ADT: admit (A01), update (A08) or discharge (A03)."""
    header = _header(sender, receiver, f"ADT^{event}", rng)
    return "\r".join([header, f"EVN|{event}", _patient(rng), f"PV1|1|I|WARD{rng.randint(1, 4)}^{rng.randint(1, 20)}"]) + "\r"


def orm(rng: Random) -> str:
    """ORM^O01: an order for a laboratory test."""
    order, test = f"{rng.randrange(10**6):06d}", rng.choice(TESTS)
    return (
        "\r".join([_header("HIS", "LIS", "ORM^O01", rng), _patient(rng), f"ORC|NW|{order}", f"OBR|1|{order}||{test}"]) + "\r"
    )


def oru(rng: Random) -> str:
    """ORU^R01: a laboratory result."""
    test, value = rng.choice(TESTS), f"{rng.uniform(3, 15):.1f}"
    return (
        "\r".join(
            [
                _header("LIS", "HIS", "ORU^R01", rng),
                _patient(rng),
                f"OBR|1|||{test}",
                f"OBX|1|NM|{test}||{value}|||N|||F",
            ]
        )
        + "\r"
    )


def from_his(rng: Random) -> str:
    """Whatever the HIS sends next: mostly admissions and orders."""
    kind = rng.choices(("A01", "A08", "A03", "ORM"), (3, 3, 1, 4))[0]
    return orm(rng) if kind == "ORM" else adt(rng, kind)
