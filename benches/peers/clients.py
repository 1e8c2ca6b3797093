#!/usr/bin/env python3
"""GETs at a fixed pace, and what became of each: `clients.py PORT COUNT PER_SECOND PATIENCE`.

The pace does not depend on the answers: a request whose turn has come is sent, on a new connection if no
kept one is free, so that a proxy that stalls keeps everyone waiting whom it would keep waiting in life. A
request counts as failed if its answer is not the whole and right 200 within PATIENCE seconds. Prints
`started` when the first one is sent, and in the end one JSON object.
"""

import asyncio
import gc
import json
import sys
import time
from collections import Counter

from endpoint import BODY

REQUEST = b"GET / HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"


class Connection(asyncio.Protocol):
    """A kept connection with one request at a time."""

    def __init__(self):
        self.transport = None
        self.received = b""
        self.answered = None
        self.reusable = True

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, error):
        self.reusable = False
        self.settle("reset" if isinstance(error, ConnectionResetError) else "closed")

    def get(self):
        self.received = b""
        self.answered = asyncio.get_running_loop().create_future()
        self.transport.write(REQUEST)
        return self.answered

    def settle(self, outcome):
        if self.answered and not self.answered.done():
            self.answered.set_result(outcome)

    def data_received(self, data):
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator:
            return
        status, *fields = head.decode("latin-1").lower().split("\r\n")
        status = status.split(" ")[1]
        fields = dict(field.split(": ", 1) for field in fields)
        if status != "200":
            self.reusable = False
            self.settle(f"status {status}")
        elif len(body) >= int(fields["content-length"]):
            self.reusable &= fields.get("connection") != "close"
            self.settle("" if body == BODY else "wrong body")


class Clients:
    """All requests of a run."""

    def __init__(self, port, patience):
        self.port = port
        self.patience = patience
        self.idle = []
        self.milliseconds = []
        self.failed = Counter()

    async def connection(self):
        while self.idle:
            connection = self.idle.pop()
            if connection.reusable:
                return connection
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(Connection, "127.0.0.1", self.port))[1]

    async def exchange(self):
        """What went wrong; nothing in the good case."""
        connection = await self.connection()
        try:
            outcome = await connection.get()
        except asyncio.CancelledError:
            connection.transport.abort()
            raise
        if connection.reusable:
            self.idle.append(connection)
        else:
            connection.transport.close()
        return outcome

    async def request(self):
        began = time.perf_counter()
        try:
            outcome = await asyncio.wait_for(self.exchange(), self.patience)
        except asyncio.TimeoutError:
            outcome = f"no answer in {self.patience:g} s"
        except OSError as error:
            outcome = f"not connected: {error.strerror}"
        self.milliseconds.append((time.perf_counter() - began) * 1000)
        if outcome:
            self.failed[outcome] += 1


async def run(port, count, per_second, patience):
    clients = Clients(port, patience)
    print("started", flush=True)
    began = time.perf_counter()
    sent, lag = [], 0.0
    for number in range(count):
        ahead = began + number / per_second - time.perf_counter()
        if ahead > 0:
            await asyncio.sleep(ahead)
        lag = max(lag, -ahead)
        sent.append(asyncio.create_task(clients.request()))
    await asyncio.gather(*sent)
    times = sorted(clients.milliseconds)
    result = {"requests": count, "failed": clients.failed, "lag_seconds": lag}
    result |= {"p50_ms": times[count // 2], "p99_ms": times[count * 99 // 100], "longest_ms": times[-1]}
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    gc.disable()
    asyncio.run(run(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
