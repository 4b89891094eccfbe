"""`bianmin terminal enroll`: a key made in the USB key, a request out, a certificate in, and a test of it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from certs.certificates import Certificate, CertificateError, Role, parse_certificate
from certs.keys import KeyFileError, load_certificate, load_certificates
from certs.tokens.faults import TokenFault
from contracts import api
from gateway.terminal import texts
from gateway.terminal.answers import Refused
from gateway.terminal.config import TerminalConfig
from gateway.terminal.faults import TerminalFault
from gateway.terminal.keys import check_certificate, token_spec
from gateway.terminal.running import clock, config_option, in_one_line, pin_source, read_config
from gateway.terminal.terminal import Terminal

if TYPE_CHECKING:
    from certs.tokens.opened import OpenToken
    from certs.tokens.signer import TokenSigner

_END = b"-----END CERTIFICATE-----"


@click.command()
@click.option("--csr", type=click.Path(path_type=Path), help="第一步：在U盾内生成密钥，把证书申请写到这个新文件")
@click.option(
    "--certificate",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="第二步：核对邮政局签发的证书，写入U盾并自检",
)
@click.option("--key", "kind", type=click.Choice(["ec-p256", "rsa-2048"]), default="ec-p256", show_default=True)
@click.option("--another", is_flag=True, help="U盾里已有密钥和证书时，另外再生成一个（换证）")
@click.option("--offline", is_flag=True, help="只做本机签名自检，不连接平台")
@config_option
def enroll(
    csr: Path | None, certificate: Path | None, *, kind: str, another: bool, offline: bool, config_file: Path | None
) -> None:
    """U盾申领证书：先 --csr 生成申请交给邮政局，再 --certificate 装入签发的证书。"""
    if (csr is None) == (certificate is None):
        raise click.UsageError("请写明 --csr 或 --certificate 其中一个 (one of --csr, --certificate)")
    with in_one_line():
        config = read_config(config_file)
        if config.signer is None:
            raise TerminalFault("终端配置里没有U盾，请先写明 signer", "terminal.toml has no `signer` table")
        if csr is not None:
            _request(config, csr, kind, another=another)
        elif certificate is not None:
            _install(config, certificate, offline=offline)


def _request(config: TerminalConfig, out: Path, kind: str, *, another: bool) -> None:
    from certs.authority.files import write_new
    from certs.tokens.enrol import NewKey, key_for_request, request_for

    if out.exists():
        raise TerminalFault(f"文件已经存在，没有覆盖：{out}", f"{out} exists: name a new file")
    with _writable(config) as token:
        key, made = key_for_request(token, NewKey(kind), config.terminal_id, another=another)
        pem = request_for(key, f"{config.terminal_id} {token.key_serial}"[:64])
        try:
            write_new(out, pem, 0o644)
        except OSError as wrong:
            raise TerminalFault(f"申请文件写不进去：{out}", f"{out}: {wrong.strerror}; run it again") from wrong
        click.echo("密钥已在U盾内生成，不能导出" if made else "沿用U盾里还没有证书的密钥")
        click.echo(f"U盾：{texts.clean(token.label)}  序列号：{texts.clean(token.key_serial)}")
    click.echo(f"密钥指纹：{_fingerprint(pem)}")
    click.echo(f"证书申请已写入 {out}：请交给邮政局，核对序列号和密钥指纹")


def _install(config: TerminalConfig, file: Path, *, offline: bool) -> None:
    from certs.tokens.enrol import install, key_of
    from certs.tokens.signer import TokenSigner

    leaf, now = _read(config, file), clock().now()
    with _writable(config) as token:
        key = key_of(token, leaf)
        written = install(token, leaf, key)
        signer = TokenSigner.over(token, key_id=key.place.key_id.hex(), now=now, certificate=leaf)
        click.echo("证书已写入U盾" if written else "U盾里已有这张证书")
        click.echo(f"机构：{texts.clean(leaf.institution_code)}  操作员：{texts.clean(leaf.operator)}")
        click.echo(f"有效期至：{leaf.not_after.astimezone():%Y-%m-%d}  证书编号：{leaf.keyid}")
        if leaf.usb_key_serial != token.key_serial:
            told = texts.clean(leaf.usb_key_serial)
            click.echo(f"注意：证书登记的U盾编号是 {told}，U盾自报的是 {texts.clean(token.key_serial)}", err=True)
        click.echo("本机签名自检通过")
        click.echo(f'如U盾里有多个密钥，请在终端配置的 signer 里写：key_id = "{key.place.key_id.hex()}"')
        if not offline:
            raise SystemExit(_try_online(config, signer))


def _try_online(config: TerminalConfig, signer: "TokenSigner") -> int:
    """A signed question that moves nothing. 1 only where the gateway provably refuses this key."""

    async def ask() -> object:
        async with Terminal(config, clock_, signer=signer) as terminal:
            return await terminal.balance()

    clock_ = clock()
    answer = asyncio.run(ask())
    match answer:
        case api.AccountBalance():
            click.echo("联机自检通过：平台认得这个U盾")
            return 0
        case Refused():
            click.echo("平台暂不接受这个U盾，请联系邮政局绑定或启用：", err=True)
            click.echo("\n".join(texts.refusal_lines(answer)), err=True)
            return 1
    click.echo("平台暂时连接不上，联机自检没有做；联网后可运行 terminal balance", err=True)
    return 0


def _read(config: TerminalConfig, file: Path) -> Certificate:
    """The first certificate of the file, under this terminal's CA and for a station. Raises TerminalFault."""
    try:
        data = file.read_bytes()
        head, end, _ = data.partition(_END)
        leaf = parse_certificate(head + end)
        issuings, root = (
            load_certificates(Path(config.issuing_cert_file)),
            load_certificate(Path(config.root_cert_file)),
        )
    except CertificateError as wrong:
        raise TerminalFault(f"不是可用的证书文件：{file}", f"{file}: {wrong}") from wrong
    except KeyFileError as wrong:
        raise TerminalFault(f"证书文件有误：{wrong.file}", str(wrong)) from wrong
    check_certificate(leaf, issuings, root, clock().now())
    if leaf.role is not Role.STATION:
        raise TerminalFault("这张证书不是便民站证书，没有写入", f"its role is {leaf.role}, not station")
    return leaf


@contextmanager
def _writable(config: TerminalConfig) -> Iterator["OpenToken"]:
    """The USB key, logged in and writable; what is wrong with it is told in words."""
    from certs.tokens.opened import OpenToken

    assert config.signer is not None, "the command asked before"
    try:
        token = OpenToken.open(
            token_spec(config.signer), pin_source(), writable=True, within_s=config.signer.answer_within_s
        )
        try:
            yield token
        finally:
            token.close()
    except TokenFault as fault:
        raise TerminalFault(fault.shop_text, fault.hint) from fault


def _fingerprint(pem: bytes) -> str:
    from certs.core.certificate_requests import KnownKeys, read_request

    digest = read_request(pem, KnownKeys()).public_key_sha256
    return " ".join(digest[at : at + 4] for at in range(0, 64, 4))
