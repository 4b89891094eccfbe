"""`bianmin terminal` with a USB key: the PIN's ways in, each failure in Chinese, enrolment from key to first call."""

import asyncio
import os
import pty
import subprocess
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import Encoding

from certs import pilot
from certs.authority.files import write_certificate
from certs.certificates import Certificate, Role
from certs.core.certificate_requests import KnownKeys, read_request
from certs.tokens.faults import TEXTS, Trouble
from certs.tokens.library import TokenSpec
from certs.tokens.signer import TokenSigner
from gateway.terminal.cli import cli
from tests.integration.terminal.clocks import FastClock
from tests.integration.tokens.material import DATA, NOW, PinBook, fresh_key
from tests.integration.tokens.shopfront import Shopfront
from tests.stand.softhsm import PIN, SoftHsm

BIANMIN = (sys.executable, "-c", "import sys; from gateway.cli import main; sys.exit(main())", "terminal")


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


async def bianmin(front: Shopfront, *words: str, pin: str | None = PIN, **change: object) -> Done:
    """A command as it is mounted, its PIN over a pipe."""
    file = front.write(**change)
    more = ["--config", str(file), *(["--pin-fd", str(_pipe(pin))] if pin is not None else [])]
    given = SimpleNamespace(clock=FastClock(20))
    result = await asyncio.to_thread(CliRunner().invoke, cli, [*words, *more], obj=given)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        pytest.fail("".join(traceback.format_exception(result.exception)))
    return Done(result.exit_code, result.stdout, result.stderr)


def _pipe(pin: str) -> int:
    """A file descriptor that gives the PIN; whoever reads it closes it."""
    read, write = os.pipe()
    os.write(write, f"{pin}\n".encode())
    os.close(write)
    return read


async def test_pays_with_a_pin_from_a_file_descriptor(front: Shopfront) -> None:
    read = _pipe(PIN)
    words = ("pay", "mobile.topup", "13805790001", "100.00", "--param", "carrier=cmcc")
    process = await asyncio.create_subprocess_exec(
        *BIANMIN, "--pin-fd", str(read), *words, "--config", str(front.write()),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=(read,),
        env=os.environ | {"LANG": "C.UTF-8", "PYTHONWARNINGS": "error"},
    )  # fmt: skip
    out, err = await process.communicate()
    os.close(read)
    assert (process.returncode, err, "状态：缴费成功" in out.decode()) == (0, b"", True), (out, err)
    assert PIN not in out.decode()


async def test_each_failure_is_a_line_of_chinese_and_a_hint(front: Shopfront) -> None:
    async def told(trouble: Trouble, pin: str | None = PIN, **change: object) -> None:
        done = await bianmin(front, "balance", pin=pin, **change)
        lines = done.err.splitlines()
        assert (done.code, lines[0]) == (2, TEXTS[trouble].shop_text), done
        assert lines[1].startswith(f"hint: {TEXTS[trouble].hint}")
        assert len(lines) == 2

    await told(Trouble.PIN_NEEDED, pin=None)
    await told(Trouble.PIN_FEW_TRIES, pin="111111")
    await told(Trouble.PIN_LAST_TRY, pin="111111")
    await told(Trouble.PIN_NOT_RISKED)
    assert front.usb.tries_left == 1
    front.usb.set("tries", 0)
    await told(Trouble.PIN_LOCKED)
    front.usb.pull()
    await told(Trouble.NO_TOKEN)


async def test_a_person_types_the_pin_and_nothing_shows_it(front: Shopfront) -> None:
    """Over a terminal of its own; with its last try left the warning comes first."""
    file = front.write()
    front.usb.set("tries", 1)
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *BIANMIN, "balance", "--config", str(file),
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, env=os.environ | {"LANG": "C.UTF-8"},
        preexec_fn=_own_terminal,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while "口令: ".encode() not in shown:
        shown += await asyncio.to_thread(os.read, ours, 4096)
    assert "只剩最后一次机会" in shown.decode()
    os.write(ours, f"{PIN}\n".encode())
    with suppress(OSError):  # the terminal is gone with its last process
        while part := await asyncio.to_thread(os.read, ours, 4096):
            shown += part
    os.close(ours)
    assert await process.wait() == 0, shown.decode()
    assert "可用余额" in shown.decode()
    assert PIN not in shown.decode()


def _own_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


async def test_the_key_is_pulled_during_a_command(front: Shopfront) -> None:
    front.double.plan = ["taken-cut"]
    front.double.on_arrival.append(front.usb.pull)
    pay = ("pay", "mobile.topup", "13805790001", "100.00", "--param", "carrier=cmcc")
    done = await bianmin(front, *pay)
    assert done.code == 2
    assert "状态：结果待查" in done.out
    assert TEXTS[Trouble.REMOVED].shop_text in done.out
    front.usb.plug()
    done = await bianmin(front, "last")
    assert (done.code, "状态：缴费成功" in done.out) == (0, True), done


@dataclass(frozen=True)
class Fresh:
    """A shop with an empty token, and the bureau that issues to it."""

    front: Shopfront
    issuing: pilot.Authority

    def issue(self, csr: Path, *, role: Role = Role.STATION, out: Path) -> Certificate:
        """What the clerk does: check the request, issue, hand back leaf and issuer."""
        key = read_request(csr.read_bytes(), KnownKeys()).public_key
        made = pilot.issue(
            self.issuing, role, key, operator="0001", institution_code="33078200017",
            usb_key_serial=self.front.token.serial, now=NOW,
        )  # fmt: skip
        write_certificate(out, made, self.issuing.certificate)
        return made


@pytest.fixture
def fresh(front: Shopfront, hsm: SoftHsm, tmp_path: Path) -> Fresh:
    """The front's gateway, another CA of ours under it, an empty token."""
    root = pilot.make_root("示范县邮政局", NOW)
    issuing = pilot.make_issuing(root, NOW)
    keys = front.double.keys
    keys.root, keys.issuing = root.certificate, issuing.certificate
    keys.reply = keys._signer(issuing, Role.REPLY, "gateway", NOW)
    for name, one in (("root", keys.root), ("issuing", keys.issuing)):
        (keys.folder / f"{name}.cert.pem").write_bytes(one.parsed.public_bytes(Encoding.PEM))
    return Fresh(Shopfront(front.double, front.usb, hsm.make_token("fresh")), issuing)


async def test_enrolled_from_key_to_first_call(fresh: Fresh, tmp_path: Path) -> None:
    front, csr, certificate = fresh.front, tmp_path / "out.pem", tmp_path / "in.pem"
    done = await bianmin(front, "enroll", "--csr", str(csr))
    assert done.code == 0, done
    assert "密钥已在U盾内生成，不能导出" in done.out
    assert front.token.serial in done.out
    verified = subprocess.run(
        ["openssl", "req", "-in", str(csr), "-verify", "-noout"], capture_output=True, check=False
    )
    assert verified.returncode == 0, verified.stderr
    fingerprint = read_request(csr.read_bytes(), KnownKeys()).public_key_sha256
    assert fingerprint in done.out.replace(" ", "")
    again = await bianmin(front, "enroll", "--csr", str(tmp_path / "again.pem"))
    assert "沿用U盾里还没有证书的密钥" in again.out
    assert read_request((tmp_path / "again.pem").read_bytes(), KnownKeys()).public_key_sha256 == fingerprint
    front.double.keys.station = fresh.issue(csr, out=certificate)
    done = await bianmin(front, "enroll", "--certificate", str(certificate))
    assert done.code == 0, done
    assert "证书已写入U盾" in done.out
    assert "联机自检通过" in done.out
    assert [one.target for one in front.double.arrivals] == ["/v1/account"]
    done = await bianmin(front, "enroll", "--certificate", str(certificate), "--offline")
    assert (done.code, "U盾里已有这张证书" in done.out) == (0, True), done
    done = await bianmin(front, "balance")
    assert done.code == 0, done
    spec = TokenSpec(module=front.usb.module, key_serial=front.token.serial)
    signer = TokenSigner.open(spec, PinBook(), now=NOW)
    assert signer.sign(DATA)
    signer.close()


async def test_renewed_beside_the_old_key(fresh: Fresh, tmp_path: Path) -> None:
    front = fresh.front
    for step, more in enumerate(((), ("--another",), ("--another", "--key", "rsa-2048"))):
        csr, certificate = tmp_path / f"{step}.csr.pem", tmp_path / f"{step}.cert.pem"
        if more:
            refused = await bianmin(front, "enroll", "--csr", str(csr))
            assert refused.err.startswith(TEXTS[Trouble.KEY_EXISTS].shop_text)
            assert not csr.exists()
        done = await bianmin(front, "enroll", "--csr", str(csr), *more)
        assert done.code == 0, done
        fresh.issue(csr, out=certificate)
        done = await bianmin(front, "enroll", "--certificate", str(certificate), "--offline")
        assert (done.code, "本机签名自检通过" in done.out) == (0, True), done
    assert (await bianmin(front, "balance")).err.startswith(TEXTS[Trouble.SEVERAL_KEYS].shop_text)


async def test_what_does_not_belong_is_not_written(fresh: Fresh, tmp_path: Path) -> None:
    front, csr = fresh.front, tmp_path / "out.pem"
    await bianmin(front, "enroll", "--csr", str(csr))
    cases = {name: tmp_path / f"{name}.pem" for name in ("other-key", "other-role", "other-ca", "garbage")}
    stranger = pilot.issue(
        fresh.issuing, Role.STATION, fresh_key().public_key(), operator="0001", institution_code="33078200017",
        usb_key_serial="UK9", now=NOW,
    )  # fmt: skip
    write_certificate(cases["other-key"], stranger)
    fresh.issue(csr, role=Role.OPERATOR, out=cases["other-role"])
    foreign = pilot.make_issuing(pilot.make_root("示范县邮政局", NOW), NOW)
    Fresh(front, foreign).issue(csr, out=cases["other-ca"])
    cases["garbage"].write_text("no certificate")
    for name, text in (
        ("other-key", TEXTS[Trouble.MISMATCH].shop_text),
        ("other-role", "这张证书不是便民站证书"),
        ("other-ca", "证书与签发机构不符"),
        ("garbage", "不是可用的证书文件"),
    ):
        done = await bianmin(front, "enroll", "--certificate", str(cases[name]), "--offline")
        assert (done.code, done.err.startswith(text)) == (2, True), (name, done)
    assert (await bianmin(front, "balance")).err.startswith(TEXTS[Trouble.NO_CERTIFICATE].shop_text)


async def test_the_platform_may_refuse_or_be_away(fresh: Fresh, tmp_path: Path) -> None:
    front, csr, certificate = fresh.front, tmp_path / "out.pem", tmp_path / "in.pem"
    await bianmin(front, "enroll", "--csr", str(csr))
    front.double.keys.station = fresh.issue(csr, out=certificate)
    done = await bianmin(front, "enroll", "--certificate", str(certificate), url="http://127.0.0.1:1")
    assert (done.code, "平台暂时连接不上" in done.err) == (0, True), done
    front.double.read_refusal = "certificate-not-bound"
    done = await bianmin(front, "enroll", "--certificate", str(certificate))
    assert (done.code, "请联系邮政局绑定或启用" in done.err, "certificate-not-bound" in done.err) == (1, True, True), (
        done
    )


async def test_enroll_is_used_one_way_at_a_time(front: Shopfront, tmp_path: Path) -> None:
    assert (await bianmin(front, "enroll", pin=None)).code == 2
    (tmp_path / "there.pem").write_text("mine")
    done = await bianmin(front, "enroll", "--csr", str(tmp_path / "there.pem"), pin=None)
    assert (done.code, "没有覆盖" in done.err) == (2, True)
    assert (tmp_path / "there.pem").read_text() == "mine"
    files = {"signer": None, "cert_file": "c", "key_file": "k", "key_password_file": "p"}
    done = await bianmin(front, "enroll", "--csr", str(tmp_path / "new.pem"), pin=None, **files)
    assert (done.code, "没有U盾" in done.err) == (2, True)
