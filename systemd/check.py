"""Whether a service would take its configuration: 0, or 78 with what is wrong on standard error.

usage: check agent|detector FILE
"""  # noqa: INP001 - a script: `stage.py` puts the package's own Python above

import sys
from pathlib import Path

from nigrani.service.config import load
from nigrani.service.errors import BadConfig, Fault, Problem


def check(role: str, path: Path) -> None:
    """Raises Problem or BadConfig."""
    if role == "detector":
        from detector.config import DetectorConfig  # noqa: PLC0415 - the agent's package may be without

        load(DetectorConfig, path)
        return
    from agent.config import AgentConfig  # noqa: PLC0415 - as above
    from agent.sources.settings import Logs  # noqa: PLC0415 - as above

    config = load(AgentConfig, path)
    interfaces = config.interfaces
    absent = [name for name in interfaces if not Path("/sys/class/net", name).exists()]
    if absent or (not interfaces and config.logs == Logs()):
        there = ", ".join(sorted(entry.name for entry in Path("/sys/class/net").glob("*")))
        message = f"no interface {absent[0]} on this machine" if absent else "nothing to watch"
        raise BadConfig([Fault(str(path), 0, message, f"set interfaces or logs; there are: {there}")])


try:
    check(sys.argv[1], Path(sys.argv[2]))
except Problem as problem:
    sys.stderr.write(f"{problem}\n")
    sys.exit(78)
