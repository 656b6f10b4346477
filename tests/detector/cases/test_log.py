"""Every log keeps to the protocol."""

from __future__ import annotations

from pathlib import Path

from detector.cases.log import AlertsLog
from detector.cases.logs.file import FileLog
from detector.cases.logs.topic import TopicAlerts
from nigrani.stream.kafka.log import TopicLog
from nigrani.stream.kafka.settings import Topics


def test_file_and_topic_are_logs(tmp_path: Path) -> None:
    logs: list[AlertsLog] = [
        FileLog(tmp_path / "alerts.ndjson", None),
        TopicAlerts(TopicLog(Topics(servers=("127.0.0.1:1",)), "alerts"), None),
    ]
    for log in logs:
        assert log.behind() == 0
        log.close()
