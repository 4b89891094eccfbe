"""`bianmin terminal renewal`: the old key's word for the request of the new one (CERT-03)."""

from pathlib import Path

import click

from gateway.terminal.faults import TerminalFault
from gateway.terminal.keys import load_keys
from gateway.terminal.running import clock, config_option, in_one_line, pin_source, read_config


@click.command()
@click.argument("csr", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@config_option
def renewal(csr: Path, out: Path, config_file: Path | None) -> None:
    """换证：用现在的密钥给新密钥的证书申请 CSR 签名，写到新文件 OUT，和申请一起交给邮政局。"""
    from certs.authority.files import write_new
    from certs.core.certificate_requests import KnownKeys, RequestRefused, read_request
    from certs.core.pem import is_pem, read_pem
    from certs.core.renewals import renewal_text

    with in_one_line():
        config = read_config(config_file)
        data = csr.read_bytes()
        try:
            read_request(data, KnownKeys())
        except RequestRefused as refused:
            raise TerminalFault(f"不是可用的证书申请：{csr}", str(refused)) from refused
        der = read_pem(data, "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST") if is_pem(data) else data
        keys = load_keys(config, clock().now(), signer=None, pin=pin_source())
        try:
            signature = keys.signer.sign(renewal_text(keys.signer.keyid, der))
        finally:
            keys.close()
        try:
            write_new(out, signature, 0o644)
        except OSError as wrong:
            raise TerminalFault(f"签名文件写不进去：{out}", f"{out}: {wrong.strerror}") from wrong
        click.echo(f"现用证书：{keys.signer.keyid}")
        click.echo(f"签名已写入 {out}：请和证书申请一起交给邮政局；新证书启用前请继续使用现在的U盾")
