#!/usr/bin/env python3
"""An endpoint that works, and fails when told: `endpoint.py HOST PORT works|502|resets`.

It answers each request after a few milliseconds, so that some are always in flight. SIGUSR1 turns it
from working to what its last argument says. SIGTERM ends it as a well-behaved application ends: it stops
listening, closes idle connections, finishes what is in flight. SIGKILL is the crash.
"""

import asyncio
import signal
import socket
import struct
import sys

BODY = b"x" * 1024
THINKING_SECONDS = 0.005
GOOD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n%s\r\n" + BODY
BAD = b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n%s\r\nbad"


class Endpoint:
    """What the connections of this process share."""

    def __init__(self, fault):
        self.fault = fault
        self.failing = False
        self.ending = False
        self.connections = set()
        self.ended = asyncio.Event()

    def fail(self):
        self.failing = True

    def end(self, server):
        self.ending = True
        server.close()
        for connection in list(self.connections):
            connection.close_if_idle()
        self.look_for_end()

    def look_for_end(self):
        if self.ending and not self.connections:
            self.ended.set()


class Connection(asyncio.Protocol):
    """Takes one request after the other, as proxies send them."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.transport = None
        self.received = b""
        self.busy = False

    def connection_made(self, transport):
        self.transport = transport
        self.endpoint.connections.add(self)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, error):
        self.endpoint.connections.discard(self)
        self.endpoint.look_for_end()

    def data_received(self, data):
        self.received += data
        if not self.busy and b"\r\n\r\n" in self.received:
            self.received = self.received.partition(b"\r\n\r\n")[2]
            self.busy = True
            self.behave()

    def behave(self):
        if not self.endpoint.failing:
            asyncio.get_running_loop().call_later(THINKING_SECONDS, self.answer, GOOD, len(BODY))
        elif self.endpoint.fault == "resets":
            linger = struct.pack("ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()
        else:
            self.answer(BAD)

    def answer(self, form, *length):
        last = b"Connection: close\r\n" if self.endpoint.ending else b""
        self.transport.write(form % (*length, last))
        self.busy = False
        if self.endpoint.ending:
            self.transport.close()

    def close_if_idle(self):
        if not self.busy:
            self.transport.close()


async def serve(host, port, fault):
    loop = asyncio.get_running_loop()
    endpoint = Endpoint(fault)
    server = await loop.create_server(lambda: Connection(endpoint), host, port, backlog=4096)
    loop.add_signal_handler(signal.SIGUSR1, endpoint.fail)
    loop.add_signal_handler(signal.SIGTERM, endpoint.end, server)
    await endpoint.ended.wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
