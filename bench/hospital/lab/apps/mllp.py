"""An MLLP receiver that acknowledges every message: `python -m lab.apps.mllp PORT`."""

from __future__ import annotations

import asyncio
import sys

from hl7.mllp import (  # type: ignore[import-untyped]  # the package ships no types
    HL7StreamReader,
    HL7StreamWriter,
    start_hl7_server,
)


async def receive(reader: HL7StreamReader, writer: HL7StreamWriter) -> None:
    """Acknowledge messages (MSA-1 AA) until the sender closes."""
    try:
        while not writer.is_closing():
            message = await reader.readmessage()
            writer.writemessage(message.create_ack())
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve(port: int) -> None:
    """Listen until the process is ended."""
    async with await start_hl7_server(receive, "0.0.0.0", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
