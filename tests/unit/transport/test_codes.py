"""The loader of code tables refuses what could turn a payment in doubt into a refusal."""

import pytest

from adapters.transport.codes import Means, load_codes

HEAD = """
[flows]
pay = "pay"
query = "evidence"
undo = "undo"
bill = "bill"
file = "file"
"""


def row(**changes: object) -> str:
    fields: dict[str, object] = {
        "flows": ["pay"],
        "code": "2010",
        "means": "declined",
        "reason": "amount",
        "staff_text": "Amount outside the bounds",
        "source": "s8",
        **changes,
    }
    lines = []
    for key, value in fields.items():
        if isinstance(value, str):
            lines.append(f"{key} = '''{value}'''")
        elif value is not None:
            lines.append(f"{key} = {value}".replace("'", '"'))
    return "\n[[row]]\n" + "\n".join(lines) + "\n"


def test_exact_look_up() -> None:
    table = load_codes(HEAD + row() + row(flows=["query"], code="0000", state="4", reason="failed-later"))
    found = table.find("pay", "2010")
    assert found is not None
    assert found.means is Means.DECLINED
    assert table.find("pay", "2011") is None
    assert table.find("query", "0000") is None
    assert table.find("query", "0000", "4") is not None
    assert table.find("query", "2010") is None
    assert len(table.rows()) == 2


@pytest.mark.parametrize(
    "words",
    [
        {"staff_text": "Duplicate order"},
        {"staff_text": "Repeated number"},
        {"staff_text": "Already paid"},
        {"staff_text": "Original in progress"},
        {"staff_text": "System BUSY"},
        {"staff_text": "Request queued"},
        {"staff_text": "Number used for another transaction"},
        {"shop_text": "重复订单"},
        {"shop_text": "该户已缴费"},
        {"shop_text": "已销账"},
        {"shop_text": "交易处理中"},
        {"shop_text": "系统繁忙"},
        {"source": 's8 "original succeeded, already booked"'},
    ],
)
def test_a_duplicate_is_no_refusal(words: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="proves nothing"):
        load_codes(HEAD + row(**words))
    load_codes(HEAD + row(**{**words, "source": 's8.5 "this request not booked"'}))
    load_codes(HEAD + row(**words, means="unknown", reason=""))
    load_codes(HEAD + row(**words, flows=["query"]))


BAD = {
    "unknown key": row(colour="red"),
    "unknown meaning": row(means="refused"),
    "unknown reason": row(reason="because"),
    "no reason": row(reason=""),
    "no staff text": row(staff_text=""),
    "no source": row(source=None),
    "empty source": row(source=""),
    "no code": row(code=""),
    "no flow": row(flows=[]),
    "unknown flow": row(flows=["topup"]),
    "twice": row() + row(flows=["query", "pay"]),
    "code is no text": row(code=2010),
    "not sent in a query": row(flows=["query"], means="not_sent", retry_after_s=1),
    "accepted in a query": row(flows=["query"], means="accepted"),
    "absent in a payment": row(means="absent"),
    "undone in a payment": row(means="undone"),
    "paid in an undo": row(flows=["undo"], means="paid"),
    "declined in an undo": row(flows=["undo"]),
    "declined in a bill": row(flows=["bill"]),
    "unknown in a file": row(flows=["file"], means="unknown"),
    "retry at once": row(means="not_sent"),
    "still paid without a reason": row(flows=["undo"], means="still_paid", reason=""),
    "reason is no slug": row(flows=["undo"], means="not_undone", reason="No Slug"),
    "no bill without a text": row(flows=["bill"], means="no_bill", problem="account-not-found"),
    "no bill of unknown problem": row(flows=["bill"], means="no_bill", problem="sorry", shop_text="无"),
    "no file without a time": row(flows=["file"], means="no_file"),
}


@pytest.mark.parametrize("name", BAD)
def test_refused_at_load(name: str) -> None:
    with pytest.raises(ValueError, match=r"codes\.toml"):
        load_codes(HEAD + BAD[name])


@pytest.mark.parametrize(
    "text", ["", "[flows]\n", "x = 1\n" + HEAD + row(), "[flows\n", '[flows]\npay = "payment"\n' + row()]
)
def test_no_document(text: str) -> None:
    with pytest.raises(ValueError, match=r"codes\.toml"):
        load_codes(text)


def test_not_declared_flow_is_our_bug() -> None:
    with pytest.raises(AssertionError):
        load_codes(HEAD + row()).find("topup", "0000")
