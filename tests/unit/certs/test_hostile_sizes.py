"""Cost stays linear: quadratic work over these sizes would take hours, so one second is a generous bound."""

import time

import pytest

from certs.core.profile import Refused, ReplyHead, RequestHead, SignedRequest, read_request, reply_keyid
from tests.unit.certs.material import AUTHORITIES, CREATED, replaced, reply_head, request_head

HUGE = 1_000_000
HOSTILE: list[tuple[str, str]] = [
    ("Signature-Input", 'bm=("@method"' + " " * HUGE),
    ("Signature-Input", "bm=(" + '"@method" ' * (HUGE // 10)),
    ("Signature-Input", dict(request_head("post-ec").headers)["Signature-Input"] + ";x=1" * (HUGE // 4)),
    ("Signature-Input", dict(request_head("post-ec").headers)["Signature-Input"] + f";created={CREATED}" * 50_000),
    ("Signature", "bm=:" + "A" * HUGE),
    ("Signature", "bm=:" + "A" * HUGE + "==:"),
    ("Content-Digest", "sha-256=:" + "A" * HUGE),
    ("Content-Type", "a/b" + ";a=b" * (HUGE // 4)),
    ("Content-Type", 'a/b;a="' + " " * HUGE),
    ("Content-Type", "a/b" + " " * HUGE + ";"),
    ("Idempotency-Key", "a" * HUGE),
    ("Host", "a" * HUGE),
    ("Host", "a." * HUGE + ":"),
]


@pytest.mark.parametrize(("name", "value"), HOSTILE)
def test_a_megabyte_in_one_line_costs_linear_time(name: str, value: str) -> None:
    head = request_head("post-ec")
    hostile = RequestHead(head.method, head.target, replaced(head.headers, name, value), head.body)
    began = time.process_time()
    assert isinstance(read_request(hostile, AUTHORITIES), Refused)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "target", ["/" + "%" * HUGE, "/" + "a" * 4000 + "|", "/" + "%20" * 1300 + "%", "/" + "?" * 4000]
)
def test_hostile_targets_cost_linear_time(target: str) -> None:
    head = request_head("post-ec")
    began = time.process_time()
    for _ in range(20):
        assert isinstance(read_request(RequestHead(head.method, target, head.headers, head.body), AUTHORITIES), Refused)
    assert time.process_time() - began < 1


def test_many_lines_cost_linear_time() -> None:
    head = request_head("post-ec")
    began = time.process_time()
    lines = [*head.headers, *[(f"X-{number}", "a") for number in range(100_000)]]
    assert isinstance(read_request(RequestHead(head.method, head.target, lines, head.body), AUTHORITIES), SignedRequest)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("tail", [";created=1795478401" * 50_000, ";x" * 500_000, " " * 1_000_000])
def test_hostile_replies_cost_linear_time(tail: str) -> None:
    reply = reply_head()
    value = dict(reply.headers)["Signature-Input"] + tail
    began = time.process_time()
    hostile = ReplyHead(reply.status, replaced(reply.headers, "Signature-Input", value), reply.body)
    assert isinstance(reply_keyid(hostile), Refused)
    assert time.process_time() - began < 1
