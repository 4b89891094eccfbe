"""The configuration: what is written is read back, and each mistake names file, key and expected form."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gateway.terminal import ConfigFault, TerminalConfig, load_config, render_config
from gateway.terminal.config import SignerConfig

GOOD: dict[str, Any] = {
    "url": "https://10.0.0.1:8443",
    "authority": "pay.bianmin.example:8443",
    "terminal_id": "T1",
    "cert_file": "/keys/station.cert.pem",
    "key_file": "/keys/station.key.pem",
    "key_password_file": "/secrets/station.password",
    "issuing_cert_file": "/keys/issuing.cert.pem",
    "root_cert_file": "/keys/root.cert.pem",
    "journal_file": '/var/流水 "T1"\\.jsonl',
}


def write(folder: Path, text: str) -> Path:
    """A configuration file."""
    file = folder / "terminal.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_what_is_rendered_is_read_back(tmp_path: Path) -> None:
    for change in ({}, {"tls_ca_file": "/keys/tls.pem", "pay_deadline_s": 90}):
        config = TerminalConfig(**(GOOD | change))
        assert load_config(write(tmp_path, render_config(config))) == config


TOKEN = {"cert_file": "", "key_file": "", "key_password_file": ""}


def test_a_usb_key_instead_of_a_key_file(tmp_path: Path) -> None:
    signer = SignerConfig(module='/usr/lib/盾 "x".so', token="shop", key_serial="K1", key_id="a1b2", answer_within_s=9)
    for change in ({}, {"cert_file": "/keys/station.cert.pem"}):
        config = TerminalConfig(**GOOD | TOKEN | {"signer": signer} | change)
        assert load_config(write(tmp_path, render_config(config))) == config


@pytest.mark.parametrize(
    ("line", "key", "expected"),
    [
        ('signer = { module = "softhsm.so" }', "signer.module", "absolute path"),
        ('signer = { module = "/p11.so", key_id = "A1" }', "signer.key_id", "lower-case hex"),
        ('signer = { module = "/p11.so", answer_within_s = 0 }', "signer.answer_within_s", "from 1 to 600"),
        ('signer = { module = "/p11.so", pin = "246810" }', "signer.pin", "no such key"),
        ('signer = { token = "shop" }', "signer.module", "this key"),
        ("signer = 5", "signer", "`object | null`"),
        ('signer = { module = "/p11.so" }\nkey_file = "k"', "signer", "not both"),
        ("", "cert_file", "a USB key in `signer`"),
    ],
)
def test_a_wrong_usb_key_names_what_is_expected(tmp_path: Path, line: str, key: str, expected: str) -> None:
    text = render_config(TerminalConfig(**GOOD))
    kept = "".join(one for one in text.splitlines(keepends=True) if not one.startswith(tuple(TOKEN)))
    with pytest.raises(ConfigFault) as caught:
        load_config(write(tmp_path, f"{kept}{line}\n"))
    assert (caught.value.key, expected in caught.value.expected) == (key, True), caught.value.hint
    assert "246810" not in caught.value.hint


def test_defaults_are_not_written() -> None:
    assert "pay_deadline_s" not in render_config(TerminalConfig(**GOOD))


def test_relative_paths_begin_at_the_file(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, render_config(TerminalConfig(**GOOD | {"key_file": "keys/k.pem"}))))
    assert config.key_file == str(tmp_path / "keys" / "k.pem")


WRONG = [
    ("url", "http://10.0.0.1", "https://"),
    ("url", "https://10.0.0.1/v1", "without path"),
    ("url", "https://10.0.0.1/", "without path"),
    ("url", "https://u:p@10.0.0.1", "without path"),
    ("url", "https://10.0.0.1?x", "without path"),
    ("url", "https://10.0.0.1:99999", "https://"),
    ("url", "ftp://10.0.0.1", "https://"),
    ("authority", "Pay.bianmin.example", "lower case"),
    ("authority", "pay.bianmin.example:443", "default port"),
    ("authority", "https://pay.bianmin.example", "HOST"),
    ("terminal_id", "T 1", "1-16"),
    ("journal_file", "", "a path"),
    ("pay_wait_s", 31, "from 0 to 30"),
    ("pay_deadline_s", 0, "from 1 to 600"),
    ("signature_lifetime_s", 301, "from 30 to 300"),
    ("connect_timeout_ms", 1.5, "`int`"),
    ("key_file", 5, "`str`"),
]


@pytest.mark.parametrize(("key", "value", "expected"), WRONG)
def test_a_wrong_value_names_file_key_and_form(tmp_path: Path, key: str, value: object, expected: str) -> None:
    good = structs.asdict(TerminalConfig(**GOOD)) | {key: value}
    text = "".join(
        f"{name} = {str(one) if not isinstance(one, str) else repr(one)}\n"
        for name, one in good.items()
        if one is not None
    )
    file = write(tmp_path, text)
    with pytest.raises(ConfigFault) as caught:
        load_config(file)
    assert (caught.value.file, caught.value.key) == (file, key)
    assert expected in caught.value.expected
    assert str(file) in caught.value.hint


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("url = 'https://a'\n", "authority", "this key"),
        ("colour = 'red'\n", "colour", "no such key"),
        ("url = \n", "", "TOML"),
        ("url = 'a'\nurl = 'b'\n", "", "TOML"),
    ],
)
def test_a_wrong_file(tmp_path: Path, text: str, key: str, expected: str) -> None:
    with pytest.raises(ConfigFault) as caught:
        load_config(write(tmp_path, text))
    assert caught.value.key == key
    assert expected in caught.value.expected


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigFault, match="No such file"):
        load_config(tmp_path / "nowhere.toml")
    (tmp_path / "terminal.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigFault, match="TOML"):
        load_config(tmp_path / "terminal.toml")


def test_in_code_the_limits_hold_too() -> None:
    with pytest.raises(ValueError, match="terminal_id"):
        TerminalConfig(**GOOD | {"terminal_id": ""})
