"""Endpoints that answer well, badly, late, or not at all."""

from __future__ import annotations

import socket
import time

import pytest

from strategic_envs.agents.text import ChatEndpoint, NoAnswerError, TextPlayer
from strategic_envs.errors import InvalidSettingError

ASK = [{"role": "user", "content": "your move?"}]
KEY = "sk-a-very-secret-key"


def endpoint(url: str, **settings) -> ChatEndpoint:
    return ChatEndpoint(url, "small", **{"timeout": 5.0, "wait": 0.01, **settings})


def fails(asked: ChatEndpoint) -> NoAnswerError:
    with pytest.raises(NoAnswerError) as caught:
        asked.complete(ASK)
    return caught.value


def test_a_request_is_one_of_openai_and_the_answer_is_its_first_choice(server, monkeypatch):
    monkeypatch.setenv("SOME_KEY", KEY)
    server.says("MOVE: 4")
    asked = endpoint(server.url + "/", key_variable="SOME_KEY", extra={"max_tokens": 9})
    assert asked.complete(ASK) == "MOVE: 4"
    ((path, headers, body),) = server.requests
    assert path == "/v1/chat/completions" and headers["Authorization"] == f"Bearer {KEY}"
    assert body == {"model": "small", "messages": ASK, "temperature": 0.0, "max_tokens": 9}


def test_without_a_variable_no_key_is_sent_and_without_a_temperature_none(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.says("5")
    endpoint(server.url, temperature=None).complete(ASK)
    ((_, headers, body),) = server.requests
    assert "Authorization" not in headers and "temperature" not in body


def test_the_key_is_neither_printed_nor_recorded_even_if_the_server_repeats_it(server, monkeypatch):
    monkeypatch.setenv("SOME_KEY", KEY)
    asked = endpoint(server.url, key_variable="SOME_KEY")
    assert KEY not in repr(asked)
    server.sends(401, {"error": {"message": f"wrong key {KEY}"}})
    assert fails(asked).message == "401 wrong key [key]"
    server.sends(200, f"Bearer {KEY} is no JSON".encode())
    assert KEY not in str(fails(asked)) and "sk-a" not in str(fails(asked))
    server.says(f"MOVE: 4 {KEY}")
    assert asked.complete(ASK) == "MOVE: 4 [key]"
    turn = TextPlayer(asked, retries=0).turn(0)
    assert KEY not in repr(turn) and turn.action is None


def test_a_redirection_is_not_followed_so_the_key_stays_with_its_host(server, monkeypatch):
    monkeypatch.setenv("SOME_KEY", KEY)
    server.sends(307, {}, Location=server.url + "/elsewhere")
    assert fails(endpoint(server.url, key_variable="SOME_KEY")).message.startswith("307")
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_an_error_that_will_not_pass_is_not_tried_again(server, status):
    server.sends(status, {"error": "no such model"})
    failure = fails(endpoint(server.url))
    assert (failure.kind, failure.message) == ("http", f"{status} no such model") and len(server.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again_and_then_given_up(server, status):
    server.sends(status, {}, status, b"<html>", 200, {"choices": [{"message": {"content": "5"}}]})
    assert endpoint(server.url).complete(ASK) == "5" and len(server.requests) == 3
    server.sends(status, b"")
    failure = fails(endpoint(server.url))
    assert failure.kind == "http" and failure.message.startswith(str(status)) and failure.message.endswith("(3 tries)")


def test_the_server_says_how_long_to_wait(server):
    server.sends(429, {}, 200, {"choices": [{"message": {"content": "5"}}]}, Retry_After="0.3")
    began = time.perf_counter()
    assert endpoint(server.url).complete(ASK) == "5" and time.perf_counter() - began >= 0.3


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "no JSON"),
        (b"<html>welcome</html>", "no JSON"),
        (b'{"choices": [', "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no choices"),
        (b"5", "no choices"),
        ({}, "no choices"),
        ({"choices": []}, "no choices"),
        ({"choices": {}}, "no choices"),
        ({"choices": [None]}, "no text"),
        ({"choices": [{}]}, "no text"),
        ({"choices": [{"message": None}]}, "no text"),
        ({"choices": [{"message": {"content": None}}]}, "no text"),
        ({"choices": [{"message": {"content": [{"type": "text"}]}}]}, "no text"),
        (b" " * (2**22 + 1), "longer than"),
    ],
)
def test_a_reply_without_an_answer_is_malformed(server, body, message):
    server.sends(200, body)
    failure = fails(endpoint(server.url))
    assert failure.kind == "malformed" and message in failure.message and len(failure.message) < 150
    assert len(server.requests) == 1


def test_a_server_that_hangs_is_a_timeout_after_the_time_given(server):
    server.reply = lambda handler, body: time.sleep(3)
    began = time.perf_counter()
    failure = fails(endpoint(server.url, timeout=0.3, tries=2))
    assert failure.kind == "timeout" and failure.message.endswith("within 0.3 s (2 tries)")
    assert time.perf_counter() - began < 2.5 and len(server.requests) == 2


def test_a_server_that_sends_a_byte_now_and_then_is_a_timeout_too(server):
    server.reply = lambda handler, body: handler.drip(4)
    began = time.perf_counter()
    failure = fails(endpoint(server.url, timeout=0.4, tries=1))
    assert failure.kind == "timeout" and time.perf_counter() - began < 3


def test_a_port_where_nobody_listens_refuses(nobody):
    failure = fails(endpoint(nobody, tries=2))
    assert failure.kind == "refused" and "no connection to 127.0.0.1" in failure.message


def test_a_host_that_does_not_exist_refuses():
    assert fails(endpoint("http://nowhere.invalid/v1", tries=1)).kind in ("refused", "timeout")


def test_a_server_that_closes_the_connection_refuses(server):
    server.reply = lambda handler, body: handler.connection.shutdown(socket.SHUT_RDWR)
    assert fails(endpoint(server.url, tries=1)).kind in ("refused", "malformed")


def test_a_server_that_speaks_no_http_is_malformed(server):
    server.reply = lambda handler, body: handler.wfile.write(b"HELO\r\n\r\n")
    assert fails(endpoint(server.url, tries=1)).kind == "malformed"


def test_encryption_with_a_server_that_has_none_refuses(server):
    assert fails(endpoint(server.url.replace("http:", "https:"), tries=1)).kind == "refused"


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8000", "ftp://host/v1", "http://", "http:///v1", "http://host:0/v1", "http://host:99999/v1",
     "http://host/v1?key=1", "http://host/v 1", "http://host/\n"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_at_once(url):
    with pytest.raises(InvalidSettingError, match="address"):
        ChatEndpoint(url, "small")


def test_a_password_in_the_address_is_refused_and_not_repeated():
    with pytest.raises(InvalidSettingError, match="user or a password") as caught:
        ChatEndpoint("http://me:hunter2@host/v1", "small")
    assert "hunter2" not in str(caught.value)


def test_a_key_that_is_missing_is_refused_by_the_name_of_its_variable(monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(InvalidSettingError, match="NO_SUCH_KEY is not set"):
        ChatEndpoint("http://host/v1", "small", key_variable="NO_SUCH_KEY")
    monkeypatch.setenv("NO_SUCH_KEY", " \n")
    with pytest.raises(InvalidSettingError, match="NO_SUCH_KEY is not set"):
        ChatEndpoint("http://host/v1", "small", key_variable="NO_SUCH_KEY")
    monkeypatch.setenv("NO_SUCH_KEY", "a\nb: c")
    with pytest.raises(InvalidSettingError, match="characters that no key has") as caught:
        ChatEndpoint("http://host/v1", "small", key_variable="NO_SUCH_KEY")
    assert "b: c" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": ""}, "name of a model"),
        ({"timeout": 0.0}, "timeout=0.0"),
        ({"timeout": float("nan")}, "timeout=nan"),
        ({"timeout": float("inf")}, "timeout=inf"),
        ({"wait": -1.0}, "wait=-1.0"),
        ({"temperature": -0.1}, "temperature=-0.1"),
        ({"tries": 0}, "tries=0"),
        ({"extra": {"messages": []}}, "'messages' in extra"),
        ({"extra": {"stream": True}}, "'stream' in extra"),
        ({"extra": {"stop": object()}}, "no JSON"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(InvalidSettingError, match=message):
        ChatEndpoint(**{"base_url": "http://host/v1", "model": "small", **settings})
