"""What stands in for Kafka where there is no Java: noida-db, one small binary that speaks Kafka's protocol."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from bench.kafka.libraries import Unavailable
from bench.kafka.server import Server

PACKAGE = "noida-db"


class NoidaBroker(Server):
    """A plain broker without TLS, passwords, access control and replicas, that keeps its data in memory."""

    durable = False
    """It writes to disk some time after it acknowledged."""

    def __init__(self, folder: Path | None = None) -> None:
        try:
            package = distribution(PACKAGE)
        except PackageNotFoundError:
            raise Unavailable(f"{PACKAGE} is not installed") from None
        self.kind = f"{PACKAGE} {package.version}"
        self._program = Path(str(package.locate_file("noida_db/noida-db")))
        super().__init__(folder)

    def command(self) -> list[str]:
        """Only its Kafka; the binary itself, for the script before it would leave it behind when killed."""
        self._program.chmod(0o755)
        options = ["--only", "kafka", "--kafka-port", str(self.port), "--data-dir", str(self.folder / "data")]
        return [str(self._program), "start", *options]
