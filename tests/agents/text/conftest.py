"""Models for tests, and a local server that answers well or badly."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import torch

from strategic_envs.baselines.turn_based import fixed_player
from strategic_envs.games.tic_tac_toe import TicTacToe


class Scripted:
    """A model that says given things in turn, the last one for ever; an exception is raised."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = answers, []

    def complete(self, messages):
        self.asked.append([dict(m) for m in messages])
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if isinstance(answer, BaseException):
            raise answer
        return answer


def drawn_state(text: str) -> int:
    """The board that a question shows."""
    marks = re.findall(r"[XO0-9]", "".join(line for line in text.splitlines() if " | " in line))
    return sum(1 << (c + 9 * (m == "O")) for c, m in enumerate(marks[-9:]) if m in "XO")


class Reads:
    """A model that reads the board it is shown and plays a fixed player's likeliest move."""

    def __init__(self, name: str = "fastest") -> None:
        self.table, self.graph, self.count = fixed_player(TicTacToe(), name), TicTacToe().state_graph(), 0

    def answer(self, question: str) -> str:
        row = int(self.graph.index(torch.tensor(drawn_state(question))))
        return f"I look at the board.\nMOVE: {int(self.table[row].argmax())}"

    def complete(self, messages):
        self.count += 1
        return self.answer(messages[1]["content"])


@dataclass
class Server:
    """A local server: `reply` is called with each request's handler and body."""

    reply: Callable[[Any, Any], None] = lambda handler, body: None
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    url: str = ""

    def says(self, content: Any) -> None:
        """Answers every request with this content."""
        self.sends(200, {"choices": [{"message": {"role": "assistant", "content": content}}]})

    def sends(self, *replies: Any, **headers: str) -> None:
        """Answers with a status and a body, then with the next ones; the last one for ever."""
        pairs, count = list(zip(replies[::2], replies[1::2], strict=True)), [0]

        def reply(handler: Any, body: Any) -> None:
            status, content = pairs[min(count[0], len(pairs) - 1)]
            count[0] += 1
            handler.send(status, content, **headers)

        self.reply = reply


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.requests.append((self.path, dict(self.headers.items()), body))
            try:
                server.reply(self, body)
            except (BrokenPipeError, ConnectionResetError):
                return  # who asked has gone

        do_GET = do_POST  # noqa: N815

        def send(self, status: int, content: Any, **headers: str) -> None:
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(data)

        def drip(self, seconds: float) -> None:
            """Sends a byte now and then, and never an end."""
            self.send_response(200)
            self.end_headers()
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                self.wfile.write(b" ")
                time.sleep(0.05)

        def log_message(self, *_: Any) -> None:
            return

    return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on this machine; it is stopped after the test."""
    own = Server()
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(own))
    http.daemon_threads, http.block_on_close = True, False
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    own.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    yield own
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
def nobody() -> str:
    """The address of a port at which nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{sock.getsockname()[1]}/v1"


@pytest.fixture
def scripted() -> type[Scripted]:
    return Scripted


@pytest.fixture
def reads() -> type[Reads]:
    return Reads
