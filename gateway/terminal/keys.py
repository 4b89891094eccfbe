"""Whoever signs for a terminal, and whom it believes: a USB key or a key file, the CA's certificates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from certs.certificates import Certificate, parse_certificate
from certs.core.chains import judge_among
from certs.keys import KeyFileError, PemSigner, load_certificate, load_certificates
from certs.tokens.faults import TokenFault
from certs.tokens.pins import WARNING_TEXTS, PinSource
from contracts.signer import Signer
from gateway.terminal.config import SignerConfig, TerminalConfig
from gateway.terminal.faults import TerminalFault

if TYPE_CHECKING:
    from certs.tokens.library import TokenSpec
    from certs.tokens.signer import TokenSigner


@dataclass(frozen=True, slots=True)
class Keys:
    """What a terminal needs to speak and to believe. notices: for the shop, in Chinese. close: what was opened here."""

    signer: Signer
    issuings: tuple[Certificate, ...]
    root: Certificate
    notices: tuple[str, ...]
    close: Callable[[], None]


def load_keys(config: TerminalConfig, now: datetime, *, signer: Signer | None, pin: PinSource) -> Keys:
    """Load or open them; the certificate must stand under the CA at `now`. Blocks. Raises TerminalFault."""
    try:
        issuings = load_certificates(Path(config.issuing_cert_file))
        root = load_certificate(Path(config.root_cert_file))
        if signer is None and config.signer is None:
            files = (Path(config.cert_file), Path(config.key_file), Path(config.key_password_file))
            signer = PemSigner.load(*files)
    except KeyFileError as wrong:
        raise TerminalFault(f"证书、密钥或口令文件有误：{wrong.file}", str(wrong)) from wrong
    if signer is not None:
        check_certificate(parse_certificate(signer.certificate_der), issuings, root, now)
        return Keys(signer, issuings, root, (), _nothing)
    token = open_token(config, pin, now)
    try:
        check_certificate(token.certificate, issuings, root, now)
    except TerminalFault:
        token.close()
        raise
    return Keys(token, issuings, root, tuple(WARNING_TEXTS[one] for one in token.warnings), token.close)


def check_certificate(own: Certificate, issuings: Sequence[Certificate], root: Certificate, now: datetime) -> None:
    """Whether a terminal's certificate stands under the CA now. Raises TerminalFault."""
    slug = judge_among(own, issuings, root, now)
    if slug == "certificate-expired":
        raise TerminalFault(
            "证书已过期或未生效，请核对本机时间，或联系邮政局换证",
            f"valid {own.not_before:%Y-%m-%d} to {own.not_after:%Y-%m-%d}, now {now:%Y-%m-%d}",
        )
    if slug is not None:
        raise TerminalFault("证书与签发机构不符，请联系邮政局", f"certificate {own.keyid}: {slug}")


def open_token(config: TerminalConfig, pin: PinSource, now: datetime) -> "TokenSigner":
    """The USB key of the configuration, with the certificate in it or that of cert_file. Raises TerminalFault."""
    from certs.tokens.signer import TokenSigner

    assert config.signer is not None, "the configuration was checked"
    try:
        given = load_certificate(Path(config.cert_file)) if config.cert_file else None
        return TokenSigner.open(
            token_spec(config.signer), pin, now=now, certificate=given, within_s=config.signer.answer_within_s
        )
    except KeyFileError as wrong:
        raise TerminalFault(f"证书文件有误：{wrong.file}", str(wrong)) from wrong
    except TokenFault as fault:
        raise TerminalFault(fault.shop_text, fault.hint) from fault


def token_spec(signer: SignerConfig) -> "TokenSpec":
    """Which key the configuration means."""
    from certs.tokens.library import TokenSpec

    return TokenSpec(module=Path(signer.module), token=signer.token, key_serial=signer.key_serial, key_id=signer.key_id)


def _nothing() -> None:
    """Nothing was opened."""
