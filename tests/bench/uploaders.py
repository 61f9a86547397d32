"""Clients that send a large body each, all at once, in one process; prints how many got which status, as JSON.

    python3 -m tests.bench.uploaders HOST:PORT --count 100 --size 52428800

Their model is the one of tests/bench/installed.py.
"""

import argparse
import asyncio
import collections
import json
import resource

from tests.bench.listeners import LAST

BLOCK = b"x" * (1 << 16)


async def upload(host: str, port: int, model: str, size: int) -> int:
    """Send one body; the status of its answer."""
    begin = json.dumps({"model": model, "max_tokens": 1, "stream": True, "messages": []}).encode()[:-1]
    begin += b', "pad": "'
    left = size - len(begin) - len(b'"}')
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                 b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (size, begin))  # fmt: skip
    while left:
        block = BLOCK[:left]
        writer.write(block)
        await writer.drain()
        left -= len(block)
    writer.write(b'"}')
    answer = await reader.read()
    writer.close()
    return int(answer[9:12]) if answer.endswith(LAST) else 0


async def upload_all(host: str, port: int, model: str, count: int, size: int) -> dict[int, int]:
    """Send them all at once; how many got which status, 0 for an answer that was not whole."""
    statuses = await asyncio.gather(*(upload(host, port, model, size) for _ in range(count)))
    return dict(collections.Counter(statuses))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Clients that send large bodies.")
    parser.add_argument("address", help="HOST:PORT")
    parser.add_argument("--model", default="fast")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--size", type=int, default=50 << 20, help="bytes")
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    host, _, port = options.address.rpartition(":")
    print(json.dumps(asyncio.run(upload_all(host, int(port), options.model, options.count, options.size))))


if __name__ == "__main__":
    main()
