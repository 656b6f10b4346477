"""The `nigrani` command: verbs by role, each loaded only when it is called.

Data goes to standard output, everything else to standard error. Exit codes: 0 fine, 1 findings or a failed input, 2 usage,
78 bad configuration.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NamedTuple

from nigrani import __version__
from nigrani.service import journal
from nigrani.service.errors import Problem


class Verb(NamedTuple):
    """One command: its words, where it lives, and its line of help."""

    words: tuple[str, ...]
    module: str
    help: str


VERBS = (
    Verb(("agent", "replay"), "agent.commands.replay", "captures and log files to events"),
    Verb(("agent", "run"), "agent.commands.run", "watch network interfaces, live"),
    Verb(("agent", "reveal"), "agent.commands.reveal", "tokens back to what they stand for, audited"),
    Verb(("agent", "check"), "agent.commands.check", "everything that would go wrong at a start, told before"),
    Verb(("agent", "status"), "agent.commands.status", "how the agent that runs is, in a few lines"),
    Verb(("agent", "top"), "agent.commands.top", "the same, live"),
    Verb(("agent", "dissect"), "agent.commands.dissect", "a close look at a capture's packets, on this host alone"),
    Verb(("agent", "forward"), "agent.commands.forward", "ship a spool to Kafka, without capturing"),
    Verb(("detector", "train"), "detector.commands.train", "learn a baseline from benign events"),
    Verb(("detector", "score"), "detector.commands.score", "events to alerts, once"),
    Verb(("detector", "run"), "detector.commands.run", "the detector's service"),
    Verb(("detector", "devices"), "detector.commands.devices", "what class each device is taken for"),
    Verb(("rules", "check"), "detector.commands.rules_check", "read rule files and run their tests"),
    Verb(("rules", "test"), "detector.commands.rules_test", "run the tests of rules"),
    Verb(("rules", "list"), "detector.commands.rules_list", "the rules there are"),
    Verb(("rules", "explain"), "detector.commands.rules_explain", "what a rule reads, asks and counts"),
    Verb(("rules", "try"), "detector.commands.rules_try", "a rule on events: what matches, and what nearly does"),
    Verb(("rules", "backtest"), "detector.commands.rules_backtest", "a rule on the site's past: alerts a day"),
    Verb(("rules", "new"), "detector.commands.rules_new", "a rule to begin from"),
    Verb(("rules", "diff"), "detector.commands.rules_diff", "how two sets of rules differ"),
    Verb(("case", "report"), "detector.commands.case_report", "draft a case's report to CERT-In or under the DPDP Rules"),
    Verb(("case", "stix"), "detector.commands.case_stix", "a case as a STIX bundle, redacted"),
    Verb(("case", "evidence"), "detector.commands.case_evidence", "take a case's evidence, signed, or check it"),
    Verb(("case", "list"), "detector.commands.case_list", "the cases there are"),
    Verb(("case", "show"), "detector.commands.case_show", "one case: how it stands, and its story"),
    Verb(("case", "ack"), "detector.commands.case_ack", "take note of a case"),
    Verb(("case", "assign"), "detector.commands.case_assign", "give a case to somebody"),
    Verb(("case", "note"), "detector.commands.case_note", "write something down in a case"),
    Verb(("case", "close"), "detector.commands.case_close", "close a case with a verdict"),
    Verb(("case", "reopen"), "detector.commands.case_reopen", "open a closed case again"),
    Verb(("case", "due"), "detector.commands.case_due", "say how a case's report to an authority stands"),
    Verb(("case", "suppress"), "detector.commands.case_suppress", "hear nothing of one kind of finding for a while"),
    Verb(("case", "user"), "detector.commands.case_user", "who may log in to the page, and what they may do"),
    Verb(("case", "export"), "detector.commands.case_export", "findings as OCSF, with how their cases stand"),
    Verb(("spool", "stat"), "nigrani.commands.spool_stat", "what a spool holds, and how far its readers are"),
    Verb(("spool", "verify"), "nigrani.commands.spool_verify", "look for damage in a spool"),
    Verb(("spool", "cat"), "nigrani.commands.spool_cat", "the events of a spool"),
    Verb(("topics", "create"), "nigrani.commands.topics_create", "make the Kafka topics, or tell how they differ"),
    Verb(("topics", "list"), "nigrani.commands.topics_list", "what the Kafka topics hold, and how far the detectors are"),
    Verb(("topics", "acls"), "nigrani.commands.topics_acls", "the rights that agents and detectors need"),
    Verb(("topics", "cat"), "nigrani.commands.topics_cat", "the events of a Kafka topic"),
    Verb(("replay",), "nigrani.commands.replay", "captures and log files to alerts, in one process"),
    Verb(("up",), "nigrani.commands.up", "agent and detector on one machine, on the embedded bus"),
)

ROLES = {
    "agent": "on a hospital host",
    "detector": "where events are scored",
    "rules": "write, test and try rules",
    "case": "work on cases",
    "spool": "look into an embedded bus",
    "topics": "look after the topics of a Kafka cluster",
}


def parser() -> argparse.ArgumentParser:
    """The command line's grammar, without the verbs' own options."""
    top = argparse.ArgumentParser(prog="nigrani", description="Watch-keeping for hospital networks and their AI.")
    top.add_argument("--version", action="version", version=f"nigrani {__version__}")
    groups = top.add_subparsers(metavar="COMMAND", required=True)
    roles: dict[str, argparse._SubParsersAction[argparse.ArgumentParser]] = {}
    for verb in VERBS:
        home = groups
        if len(verb.words) == 2:
            role = verb.words[0]
            if role not in roles:
                text = ROLES[role]
                roles[role] = groups.add_parser(role, help=text, description=text).add_subparsers(
                    metavar="COMMAND", required=True
                )
            home = roles[role]
        home.add_parser(verb.words[-1], help=verb.help, add_help=False).set_defaults(verb=verb)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command; the return value is its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    known, _ = parser().parse_known_args(words)
    verb: Verb = known.verb
    try:
        module = importlib.import_module(verb.module)
    except ModuleNotFoundError as error:
        _tell(f"{' '.join(verb.words)} is not installed here: {error.name} is missing")
        return 1
    own = argparse.ArgumentParser(
        prog=" ".join(("nigrani", *verb.words)),
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.arguments(own)
    options = own.parse_args(words[len(verb.words) :])
    try:
        return _run(module, options)
    except Problem as problem:
        _tell(str(problem))
        return problem.code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _tell(f"{place}{error.strerror or error}")
        try:
            sys.stdout.flush()
        except OSError:  # what is left has nowhere to go
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(module: ModuleType, options: argparse.Namespace) -> int:
    """Carry out the verb. Raises Problem, also where the system gives no more threads."""
    try:
        return int(module.run(options))
    except RuntimeError as error:
        if "new thread" not in str(error):
            raise
        raise Problem(f"{error}: raise the unit's TasksMax, or how many processes its user may have") from None


def _tell(text: str) -> None:
    """Each line on standard error, as an error where that is the journal."""
    start = journal.ERROR if journal.listens() else "nigrani: "
    sys.stderr.writelines(f"{start}{line}\n" for line in text.splitlines())


if __name__ == "__main__":
    sys.exit(main())
