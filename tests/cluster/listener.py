"""The image `probe.test/listener`: a program that listens where its environment says.

PORT: one port or several with commas (8080). LISTEN_ADDR: an address, or a list of them (0.0.0.0).
TERM_DELAY: seconds that it goes on serving after SIGTERM (0). Arguments NAME=VALUE come before the
environment. It answers HTTP with the name of its pod, and says nothing before it is asked.
"""

import asyncio
import os
import signal
import sys


def setting(name: str, default: str) -> str:
    given = dict(word.partition("=")[::2] for word in sys.argv[1:])
    return given.get(name, os.environ.get(name, default))


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        if await reader.read(65536):
            body = os.environ.get("HOSTNAME", "").encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def main() -> None:
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    addresses = setting("LISTEN_ADDR", "0.0.0.0").split(",")
    for port in setting("PORT", "8080").split(","):
        await asyncio.start_server(answer, addresses, int(port), backlog=1024)
    await told.wait()
    await asyncio.sleep(float(setting("TERM_DELAY", "0")))


if __name__ == "__main__":
    asyncio.run(main())
