"""The manifest against the document, the configuration's limits, and the entry point's weight."""

import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.telecom import ADAPTER, load_table, shop_text
from adapters.telecom.config import Config, read_secrets
from adapters.telecom.manifest import MANIFEST
from adapters.telecom.signing import SignType
from adapters.telecom.wire import CARRIERS
from contracts.manifest import BillModel, Can
from contracts.money import Fen

GOOD: dict[str, Any] = {
    "base_url": "https://telecom.example:7401",
    "agent_no": "8801000123",
    "sign_key_file": "secrets/telecom.key",
}
SEND_WINDOW_S = 120


def test_services_and_their_models() -> None:
    models = {service: facts.bill_model for service, facts in MANIFEST.flows.items()}
    assert models == {
        "mobile.topup": BillModel.DIRECT,
        "mobile.bill": BillModel.FETCH_PAY,
        "broadband.bill": BillModel.FETCH_PAY,
    }
    assert MANIFEST.can == {
        Can.QUERY_BILL,
        Can.QUERY_RESULT,
        Can.REVERSE,
        Can.CANCEL,
        Can.NOTICE,
        Can.FETCH_RECON,
    }
    assert (MANIFEST.concurrency, MANIFEST.rate_per_s, MANIFEST.serial_digits) == (50, 100, 20)
    assert MANIFEST.file_is_complete
    for facts in MANIFEST.flows.values():
        carrier = next(param for param in facts.params if param.name == "carrier")
        assert carrier.required
        assert set(carrier.choices) == set(CARRIERS)
        # s9: believed from 600 s after the timestamp, forgotten 72 h after the record was made.
        assert 600 <= facts.absent_final_after_s < 900
        assert facts.absent_void_after_s is not None
        assert facts.absent_void_after_s <= 72 * 3600 - SEND_WINDOW_S - 300
        assert (facts.cut_off_local.hour, facts.cut_off_local.minute) == (23, 0)
        assert facts.query_min_interval_s == 2
        assert not facts.repeat_safe  # s7: a failed number is executed again


def test_topup_cannot_be_undone_and_bills_can() -> None:
    topup, bill = MANIFEST.flows["mobile.topup"], MANIFEST.flows["mobile.bill"]
    assert not topup.can_reverse
    assert not topup.can_cancel
    assert topup.partial
    assert not bill.partial
    assert bill.can_reverse
    assert bill.can_cancel
    assert bill.reverse_repeat_safe
    assert bill.cancel_repeat_safe
    assert topup.amounts == tuple(Fen(yuan * 100) for yuan in (10, 20, 30, 50, 100, 200, 300, 500))
    assert (topup.result_due_s, topup.settle_lag_days) == (86_400, 1)
    assert topup.ask_after_s <= 600
    assert (topup.call_deadline_s, bill.call_deadline_s) == (20, 60)


def test_time_outs_end_before_the_call_deadlines() -> None:
    config = Config(**GOOD)
    assert config.pay_timeout_ms + 2_000 < MANIFEST.flows["mobile.bill"].call_deadline_s * 1000
    assert config.pay_timeout_ms >= 45_000
    assert config.reply_timeout_ms + 2_000 <= MANIFEST.flows["mobile.topup"].call_deadline_s * 1000


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("base_url", "ftp://x"),
        ("base_url", "https://x?y=1"),
        ("base_url", "https://user:secret@x"),
        ("agent_no", "880100012"),
        ("key_no", "1"),
        ("sign_key_file", ""),
        ("other_key_files", {"2": "f"}),
        ("other_key_files", {"01": "f"}),
        ("connect_timeout_ms", 99),
        ("pay_timeout_ms", 58_001),
        ("reply_timeout_ms", 18_001),
        ("download_timeout_ms", 0),
        ("connections", 51),
        ("recon_max_bytes", 2**30 + 1),
    ],
)
def test_bad_configuration_names_its_key(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"billers.telecom.{key}: expected "):
        Config(**{**GOOD, key: value})


def test_configuration_from_text() -> None:
    form = {**GOOD, "key_no": "01", "connect_timeout_ms": 2000, "reply_timeout_ms": 18000, "sign_type": "MD5"}
    config = msgspec.convert(form, Config)
    assert config.sign_type is SignType.MD5
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({**form, "secret": "x"}, Config)
    with pytest.raises((AttributeError, FrozenInstanceError)):
        config.key_no = "02"  # type: ignore[misc]


def test_secrets_come_from_files(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.write_text("Tel-Test-Secret-01-0123456789abcdef\n")
    second.write_text("Tel-Test-Secret-02-fedcba9876543210")
    config = Config(**{**GOOD, "sign_key_file": str(first), "other_key_files": {"02": str(second)}})
    assert read_secrets(config) == {
        "01": "Tel-Test-Secret-01-0123456789abcdef",
        "02": "Tel-Test-Secret-02-fedcba9876543210",
    }
    for bad in ("", "short", "two lines of text\nand one more line", "x" * 129, "密" * 20):
        first.write_text(bad)
        with pytest.raises(ValueError, match="sign_key_file") as failure:
            read_secrets(config)
        assert not bad or bad not in str(failure.value)
    first.unlink()
    with pytest.raises(ValueError, match="sign_key_file: cannot read"):
        read_secrets(config)


def test_texts_for_the_shop() -> None:
    assert shop_text("mobile.topup", "2010") == "该运营商不售此面值，未扣款，请换面值"
    assert shop_text("mobile.bill", "2010") == "欠费金额已变化，未扣款，请重新查询"
    assert shop_text("broadband.bill", "2015") == "该号码当前无欠费，未扣款"
    assert shop_text("mobile.bill", "7777") is None
    assert shop_text("mobile.bill", "0000") is None
    assert ADAPTER.undo_text("mobile.bill", "2012") == "话费已被使用，不能撤销，缴费有效"
    assert ADAPTER.undo_text("mobile.bill", "2404") is None
    assert ADAPTER.undo_text("mobile.bill", "7777") is None
    for row in load_table().rows().values():
        assert all(ord(char) > 0x7F for char in row.shop_text)


def test_every_refusal_of_a_payment_says_nothing_was_taken() -> None:
    for (flow, _, _), row in load_table().rows().items():
        if flow in {"pay", "topup"} and row.means == "declined":
            assert "未扣款" in row.shop_text


def test_entry_point_is_light() -> None:
    code = (
        "import sys, adapters.telecom; "
        "print(sorted({'aiohttp', 'asyncio', 'ssl', 'tomllib', 'sqlite3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert ADAPTER.manifest.name == "telecom"
    assert ADAPTER.config_type is Config
