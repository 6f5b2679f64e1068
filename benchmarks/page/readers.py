"""Holds event streams open and reads them, in a process of its own: `readers PORT PAGES`.

It writes a line once all have answered, ends when its standard input does, and then writes how many
bytes came. The browsers that it stands for run on other machines, so it runs only while a core has
nothing else to do (SCHED_IDLE).
"""

from __future__ import annotations

import os
import selectors
import socket
import sys


def main() -> None:
    """Reads until its standard input ends."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    port, pages = int(sys.argv[1]), int(sys.argv[2])
    request = f"GET /page/live/now HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    waiting = selectors.DefaultSelector()
    waiting.register(sys.stdin, selectors.EVENT_READ)
    for _ in range(pages):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(request)
        waiting.register(connection, selectors.EVENT_READ)
    answered: set[object] = set()
    received = 0
    while True:
        for key, _ in waiting.select():
            if key.fileobj is sys.stdin:
                print(received, flush=True)
                return
            assert isinstance(key.fileobj, socket.socket)
            received += len(key.fileobj.recv(65536))
            if key.fileobj not in answered:
                answered.add(key.fileobj)
                if len(answered) == pages:
                    print("open", flush=True)


if __name__ == "__main__":
    main()
