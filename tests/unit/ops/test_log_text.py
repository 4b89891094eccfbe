"""Text in log lines: no word but ours, no fifth digit, however a text is made."""

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.outcomes import Reason
from contracts.problems import PROBLEMS
from contracts.states import OrderKind
from gateway.log_text import DIGITS_MAX, HIDDEN, WORDS, shown

ROOT = Path(__file__).parents[3]
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
SEPARATORS = st.sampled_from([" ", "", "'", '"', ",", ":", "=", "-", "/", "\n", "\t", "(", "，", "%", "\\", "@"])
ACCOUNTS = st.one_of(
    st.text("0123456789", min_size=5, max_size=32),
    st.from_regex(r"[A-Z]{1,3}[0-9]{5,12}[A-Z]?", fullmatch=True),
    st.text("张三诸葛丹青欧阳娜", min_size=1, max_size=6),
    st.text(string.ascii_letters + string.digits + "_-", min_size=16, max_size=40).map(lambda text: f"q{text}7z"),
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ""),
        ("taken", "taken"),
        ("PAY Accepted 0000", "PAY Accepted 0000"),
        ("reply.mismatch.accNo", "reply.mismatch.accNo"),
        ("ClientConnectorError", "ClientConnectorError"),
        ("no answer by the call's deadline", "no answer by the call's deadline"),
        ("database is locked", "database is locked"),
        ("[Errno 28] No space left on device", "[Errno 28] No space left on device"),
        ("no such account '13805791357', try 6217991234567890123", "no such account *** try ***"),
        ("KD0012345A KD0012345A", "***"),
        ("Declined KD0012345A", "Declined ***"),
        ("138 0579 1357", "138 ***"),
        ("138-0579-1357", "***"),
        ("１３８０５７９１３５７", "***"),
        ("tv1234", "***"),
        ("Canary-Secret-of-no-digits", "***"),
        ("password=hunter", "***"),
        ("户名 诸葛丹青 closed", "*** closed"),
        ("closed\u200b诸葛", "***"),
        ("x" * 5_000, "***"),
    ],
)
def test_what_is_shown(text: str, told: str) -> None:
    assert shown(text) == told


@given(st.text(max_size=80))
def test_no_word_but_ours_and_no_fifth_digit(text: str) -> None:
    told = shown(text)
    assert told.isascii()
    assert sum(map(str.isdigit, told)) <= DIGITS_MAX
    for run in re.findall("[A-Za-z]+", told):
        assert all(word.lower() in WORDS for word in WORD.findall(run)), run
    assert shown(told) == told


@given(st.lists(st.tuples(SEPARATORS, ACCOUNTS, SEPARATORS, st.sampled_from(sorted(WORDS))), min_size=1, max_size=4))
def test_an_account_or_name_is_never_told_wherever_it_stands(parts: list[tuple[str, str, str, str]]) -> None:
    told = shown("".join(f"{before}{account}{after}{word} " for before, account, after, word in parts))
    for _, account, _, _ in parts:
        assert account not in told.replace(HIDDEN, "")


def said() -> Iterator[tuple[str, str]]:
    """Literal texts of our own code that reach a log: `cause=…` and what a store fails with."""
    for room in ("gateway", "adapters"):
        for path in sorted((ROOT / room).rglob("*.py")):
            if {"simulator", "kit", "demo", "init", "terminal"} & set(path.relative_to(ROOT).parts):
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                values: list[ast.expr] = []
                if isinstance(node, ast.keyword) and node.arg == "cause":
                    values = [node.value]
                elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("StoreBusy", "StoreFull"):
                    values = node.args
                for value in values:
                    for part in ast.walk(value):
                        if isinstance(part, ast.Constant) and isinstance(part.value, str):
                            yield f"{path.relative_to(ROOT)}:{part.lineno}", part.value


def test_our_own_texts_can_be_read() -> None:
    """Where this fails, add the word to gateway.log_text.WORDS: the line would show *** for it."""
    texts = list(said())
    assert len(texts) > 30
    texts += [("slug", slug) for slug in PROBLEMS]
    texts += [("reason", str(reason)) for reason in Reason] + [("kind", str(kind)) for kind in OrderKind]
    unread = {
        (place, run)
        for place, text in texts
        for run in re.findall("[A-Za-z]+", text)
        if any(word.lower() not in WORDS for word in WORD.findall(run))
    }
    assert not unread
