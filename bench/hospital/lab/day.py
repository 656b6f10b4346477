"""The day's course: build the hospital, live the morning, attack, record, take everything down."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from lab.activities import all_activities
from lab.activity import Actors, Lab
from lab.attack import Incident, carry_out
from lab.attacks import all_attacks
from lab.recording import SNAPLEN, Mirror, Phase, copy_gateway_log, tool_versions, write_labels
from lab.services import CONFIG, preload, start_all
from lab.studies import Catalogue
from lab.topology import LabError, Network, load_plan


@dataclass(frozen=True)
class Timetable:
    """Lengths in seconds; `pace` multiplies the actors' intervals and `size` the attacks."""

    learn: float
    benign: float
    gap: tuple[float, float]
    tail: float
    pace: float
    size: float


@dataclass(frozen=True)
class Order:
    """What to record, and where to put it."""

    out: Path
    rehearsal: bool
    seed: int
    prefix: str
    keep_work: bool


MORNING = Timetable(learn=24 * 60, benign=7 * 60, gap=(32, 42), tail=30, pace=1.25, size=1)
REHEARSAL = Timetable(learn=40, benign=20, gap=(2, 4), tail=4, pace=0.2, size=0.25)


def say(words: str) -> None:
    """Print one line of progress."""
    print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr, flush=True)


def record(order: Order) -> int:
    """Record a morning; returns 0, or 1 when the lab failed or was interrupted, and leaves nothing running."""
    try:
        _record(order)
    except LabError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted; the lab was taken down")
        return 1
    return 0


def clean(prefix: str) -> None:
    """Remove what a killed run left behind."""
    Network(load_plan(CONFIG / "hosts.yaml"), Path(), prefix).remove()


def _record(order: Order) -> None:
    order.out.mkdir(parents=True, exist_ok=True)
    plan = load_plan(CONFIG / "hosts.yaml")
    rng = Random(f"{order.seed} hospital")
    with work_folder(keep=order.keep_work) as work, Network(plan, work, order.prefix) as network:
        lab = Lab(network, Catalogue(work / "studies", rng))
        start_all(network, rng)
        preload(network, lab.catalogue, rng)
        say("the hospital stands")
        live(lab, order.out.resolve(), REHEARSAL if order.rehearsal else MORNING, order.seed)


def live(lab: Lab, out: Path, timetable: Timetable, seed: int) -> None:
    """Record the morning into `out`."""
    mirror = Mirror(lab.network, out / "capture.pcap")
    actors = Actors(lab, all_activities(lab.network.plan), seed, timetable.pace)
    began = time.time()
    actors.start()
    say("learn: the benign morning begins")
    time.sleep(timetable.learn)
    learned = time.time()
    say("benign: the same, not to be trained on")
    time.sleep(timetable.benign)
    attacked = time.time()
    incidents = attack_all(lab, Random(f"{seed} attacks"), timetable)
    time.sleep(timetable.tail)
    ended = time.time()
    actors.stop()
    counts = mirror.stop()
    phases = [
        Phase("learn", began, learned, "benign, to learn from"),
        Phase("benign", learned, attacked, "benign, not trained on: what alerts here is a false alarm"),
        Phase("attacks", attacked, ended, "the attacks, with benign life going on"),
    ]
    made: dict[str, object] = {
        "seed": seed,
        "snaplen": SNAPLEN,
        "pace": timetable.pace,
        "packets": counts,
        "tools": tool_versions(),
    }
    write_labels(out / "labels.yaml", lab.network, phases, incidents, made)
    copy_gateway_log(lab.network, out / "ai-gateway.log")
    report(actors, counts)


def attack_all(lab: Lab, rng: Random, timetable: Timetable) -> list[Incident]:
    """Carry out each attack in turn, with quiet before it."""
    incidents = []
    for attack in all_attacks():
        time.sleep(rng.uniform(*timetable.gap))
        incident = carry_out(attack, lab, rng, timetable.size)
        say(f"{incident.name}: {incident.end - incident.start:.0f} s, {incident.what}")
        incidents.append(incident)
    return incidents


def report(actors: Actors, counts: dict[str, int]) -> None:
    """Say how often each activity ran and failed, and what tcpdump counted."""
    for name, tally in sorted(actors.tallies.items()):
        say(f"{name}: {tally.runs} runs, {tally.failures} failed")
    say(f"tcpdump: {counts}")


@contextmanager
def work_folder(*, keep: bool) -> Iterator[Path]:
    """Make a folder for the services' state, removed afterwards unless asked for."""
    path = Path(tempfile.mkdtemp(prefix="morning-"))
    try:
        yield path
    finally:
        if keep:
            say(f"the services' state and logs are in {path}")
        else:
            shutil.rmtree(path, ignore_errors=True)
