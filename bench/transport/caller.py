"""Associations from one address after the other: `python -m bench.transport.caller SERVER PORT COUNT`, in a namespace.

Prints when each A-ASSOCIATE-RQ went out, in nanoseconds. The pauses between them vary, so that they fall on all moments
of everybody's turns.
"""

from __future__ import annotations

import ipaddress
import itertools
import socket
import sys
import time
from random import Random

from bench import conversations
from bench.transport.pair import CALLERS

PAUSE = 0.05, 0.15
"""Seconds."""


def main() -> None:
    """Call."""
    server, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    random = Random(4)
    request, _, release, _ = association()
    for address in itertools.islice(ipaddress.ip_network(CALLERS).hosts(), count):
        with socket.create_connection((server, port), timeout=10, source_address=(str(address), 0)) as call:
            print(time.time_ns(), flush=True)
            call.sendall(request)
            call.recv(4096)
            call.sendall(release)
            call.recv(4096)
        time.sleep(random.uniform(*PAUSE))


def association() -> list[bytes]:
    """A-ASSOCIATE-RQ, -AC, A-RELEASE-RQ and -RP (PS3.8 §9.3)."""
    messages = conversations.dicom(Random(4), 0)
    return [message.payload for message in (*messages[:2], *messages[-2:])]


if __name__ == "__main__":
    main()
