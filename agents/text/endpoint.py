"""A model behind an HTTP endpoint that speaks OpenAI's chat completions, as most servers of models do.

One request is `POST {base_url}/chat/completions`. The time-out is for all of it, from the connection to the last byte,
so a server that sends a byte now and then is not waited for. Redirections are not followed: the key goes to the host
that was named and to no other.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import os
import re
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from strategic_envs.agents.text.turns import Message, NoAnswerError
from strategic_envs.errors import InvalidSettingError

__all__ = ["ChatEndpoint"]

_LARGEST = 2**22  # bytes of a reply
_LONGEST_WAIT = 60.0  # seconds between two tries, whatever the server asks for
_OURS = ("messages", "model", "stream", "temperature")


@dataclass(frozen=True)
class ChatEndpoint:
    """Asks a model for the next message of a conversation.

    Args:
        base_url: Where the endpoint is, such as `http://localhost:8000/v1`.
        model: The name of the model.
        key_variable: The environment variable that holds the key; None for a server without keys. The key is read when
            it is needed and kept nowhere; where a server repeats it, it is taken out of what is recorded.
        timeout: Seconds for one request.
        temperature: 0 for the likeliest answer; None leaves it to the server.
        tries: How often a request is sent when there is no connection or no answer in time, or when the server answers
            with 429 or 500 to 599.
        wait: Seconds before the second try, doubled for each after it; the server's `Retry-After` counts if longer.
        extra: More fields of the request, such as `{"max_tokens": 256}`.

    Raises:
        InvalidSettingError: If the address is none, the variable is not set, or a number makes no sense.

    Example:
        >>> ChatEndpoint("http://localhost:8000/v1", "small", tries=1)  # doctest: +ELLIPSIS
        ChatEndpoint(base_url='http://localhost:8000/v1', model='small', key_variable=None, timeout=60.0, ...)
    """

    base_url: str
    model: str
    key_variable: str | None = None
    timeout: float = 60.0
    temperature: float | None = 0.0
    tries: int = 3
    wait: float = 1.0
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._address()
        if not self.model:
            raise InvalidSettingError("an endpoint needs the name of a model, got none")
        for name, least in (("timeout", 0.0), ("wait", -math.ulp(0.0))):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > least):
                raise InvalidSettingError(f"an endpoint: got {name}={value!r}, expected seconds, more than none")
        if self.temperature is not None and not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise InvalidSettingError(f"an endpoint: got temperature={self.temperature!r}, expected a number >= 0")
        if isinstance(self.tries, bool) or not isinstance(self.tries, int) or self.tries < 1:
            raise InvalidSettingError(f"an endpoint: got tries={self.tries!r}, expected a whole number >= 1")
        taken = [name for name in _OURS if name in self.extra]
        if taken:
            raise InvalidSettingError(f"an endpoint: got {taken[0]!r} in extra, but it is set elsewhere, or not usable")
        try:
            json.dumps(dict(self.extra))
        except (TypeError, ValueError) as error:
            raise InvalidSettingError(f"an endpoint: extra is no JSON ({error})") from error
        self._key()

    def _address(self) -> SplitResult:
        try:
            url = urlsplit(self.base_url)
            port = url.port
        except ValueError as error:
            raise InvalidSettingError(f"got an address of an endpoint that is none: {error}") from error
        if url.username is not None or url.password is not None:
            raise InvalidSettingError(
                "the address of an endpoint holds a user or a password: name an environment variable with the key"
            )
        unfit = url.query or url.fragment or not re.fullmatch(r"[\x21-\x7e]+", self.base_url)
        if url.scheme not in ("http", "https") or not url.hostname or port == 0 or unfit:
            raise InvalidSettingError(
                f"got the address {self.base_url!r} of an endpoint, expected one such as http://localhost:8000/v1"
            )
        return url

    def _key(self) -> str | None:
        if self.key_variable is None:
            return None
        key = os.environ.get(self.key_variable, "").strip()
        if not key:
            raise InvalidSettingError(
                f"the environment variable {self.key_variable} is not set, expected the key of {self.base_url}: "
                f"export {self.key_variable}=..., or name another variable"
            )
        if not re.fullmatch(r"[\x21-\x7e]+", key):
            raise InvalidSettingError(f"the environment variable {self.key_variable} holds characters that no key has")
        return key

    def complete(self, messages: Sequence[Message]) -> str:
        """The model's next message.

        Raises:
            NoAnswerError: If there is none: the kind is `timeout`, `refused`, `http` or `malformed`.
        """
        number = 0
        while True:
            number, after, again = number + 1, 0.0, True
            try:
                status, after, body = self._post(messages)
                if 200 <= status < 300:
                    return _content(body).replace(self._key() or "\0", "[key]")
                again = status == 429 or status >= 500
                failure = NoAnswerError("http", f"{status} {_told(status, body)}")
            except NoAnswerError as caught:
                if caught.kind == "malformed":
                    raise
                failure = caught
            if not again or number >= self.tries:
                tries = f" ({number} tries)" if number > 1 else ""
                raise NoAnswerError(failure.kind, f"{failure.message}{tries}")
            time.sleep(min(_LONGEST_WAIT, max(after, self.wait * 2 ** (number - 1))))

    def _post(self, messages: Sequence[Message]) -> tuple[int, float, bytes]:
        """One request: the status, the seconds that the server wants to rest, and the body."""
        url = self._address()
        request = {**self.extra, "model": self.model, "messages": list(messages)}
        request |= {} if self.temperature is None else {"temperature": self.temperature}
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        key = self._key()
        headers |= {"Authorization": f"Bearer {key}"} if key else {}
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        connection = kind(url.hostname or "", url.port, timeout=self.timeout)
        late, until, guard = threading.Event(), time.monotonic() + self.timeout, None
        try:
            connection.connect()
            guard = threading.Timer(max(0.0, until - time.monotonic()), _cut, (connection.sock, late))
            guard.daemon = True
            guard.start()
            connection.request("POST", f"{url.path.rstrip('/')}/chat/completions", json.dumps(request), headers)
            with connection.getresponse() as response:
                body = response.read(_LARGEST + 1)
            if late.is_set():
                raise TimeoutError
            if len(body) > _LARGEST:
                raise NoAnswerError("malformed", f"the reply is longer than {_LARGEST} bytes")
            body = body.replace(key.encode(), b"[key]") if key else body
            return response.status, _seconds(response.getheader("Retry-After")), body
        except (OSError, http.client.HTTPException, ValueError) as error:
            if late.is_set() or isinstance(error, TimeoutError):
                raise NoAnswerError("timeout", f"no answer from {url.netloc} within {self.timeout:g} s") from error
            if isinstance(error, http.client.HTTPException) and not isinstance(error, ConnectionError):
                raise NoAnswerError(
                    "malformed", f"{url.netloc} does not speak HTTP ({type(error).__name__})"
                ) from error
            raise NoAnswerError("refused", f"no connection to {url.netloc} ({error})") from error
        finally:
            if guard is not None:
                guard.cancel()
            connection.close()


def _cut(sock: socket.socket, late: threading.Event) -> None:
    """Ends a request that takes too long, whatever it is waiting for."""
    late.set()
    with contextlib.suppress(OSError):  # it may just have come to its own end
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # of the socket below, if it is encrypted


def _content(body: bytes) -> str:
    """The text of the first choice."""
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NoAnswerError("malformed", f"the reply is no JSON: {_start(body)}") from error
    choices = reply.get("choices") if isinstance(reply, dict) else None
    if not isinstance(choices, list) or not choices:
        raise NoAnswerError("malformed", f"the reply has no choices: {_start(body)}")
    message = choices[0].get("message") if isinstance(choices[0], dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, str):
        raise NoAnswerError("malformed", f"the reply's first choice has no text: {_start(body)}")
    return content


def _told(status: int, body: bytes) -> str:
    """What a server says of an error."""
    try:
        said = json.loads(body)["error"]
        text = said["message"] if isinstance(said, dict) else said
    except (ValueError, KeyError, TypeError, RecursionError):
        text = None
    return " ".join(text.split())[:200] if isinstance(text, str) and text else http.client.responses.get(status, "")


def _start(body: bytes) -> str:
    return repr(body[:60].decode("utf-8", "replace"))


def _seconds(header: str | None) -> float:
    try:
        seconds = float(header or 0)
    except ValueError:  # a date
        return 0.0
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0
