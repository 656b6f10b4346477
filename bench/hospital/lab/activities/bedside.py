"""Telemetry from four beds over MQTT, and telemedicine calls over SIP."""

from __future__ import annotations

from functools import partial
from random import Random

from lab.activity import Activity, Lab

BEDS = 4


def activities() -> list[Activity]:
    """Give each bed a loop, and add the nurses' readings and the calls."""
    beds = [Activity(f"bed{bed}-mqtt", (40, 80), partial(publish, bed)) for bed in range(1, BEDS + 1)]
    return [*beds, Activity("his-mqtt", (60, 120), subscribe), Activity("phone-sip", (60, 110), call)]


def publish(bed: int, lab: Lab, rng: Random) -> bool:
    """Publish a burst of readings of one bed over one connection."""
    readings = "".join(f'{{"hr":{rng.randint(60, 95)},"spo2":{rng.randint(94, 100)}}}\n' for _ in range(2))
    argv = ["mosquitto_pub", "-h", lab.network.address("broker"), "-i", f"bed{bed}", "-t", f"ward/bed{bed}/vitals"]
    return lab.network.run("telemetry", [*argv, "-q", "1", "-l"], stdin=readings).returncode == 0


def subscribe(lab: Lab, _rng: Random) -> bool:
    """Listen to the ward for twenty seconds (27 is the tool's way to say that its time is up)."""
    argv = ["mosquitto_sub", "-h", lab.network.fqdn("broker"), "-i", "his", "-t", "ward/+/vitals", "-W", "20"]
    return lab.network.run("his", argv).returncode in (0, 27)


def call(lab: Lab, rng: Random) -> bool:
    """One short call, set up and hung up."""
    server, phone = lab.network.address("televisit"), lab.network.address("phone")
    argv = [
        "sipp",
        "-sn",
        "uac",
        "-i",
        phone,
        "-p",
        "5060",
        "-m",
        "1",
        "-d",
        str(rng.randint(1500, 4000)),
        "-nostdin",
        server,
    ]
    return lab.network.run("phone", argv, timeout=30).returncode == 0
