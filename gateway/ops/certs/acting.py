"""Who acts: a person of the staff, proven by his certificate in files or in a USB key. Every deed is signed here."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.ops.shared import NotSo, Shared

if TYPE_CHECKING:
    from contracts.signer import Signer
    from gateway.config import Config
    from gateway.core.items import Refusal
    from gateway.core.items_deeds import Acted, Deed
    from gateway.ops.desk import Desk

F = TypeVar("F", bound=Callable[..., Any])
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_KEY_OPTIONS = (
    click.option("--as", "as_cert", type=_FILE, help="Your certificate; in a USB key it may be left out."),
    click.option("--key", "as_key", type=_FILE, help="Its key (encrypted PEM)."),
    click.option("--password-file", "as_password", type=_FILE, help="One line: the key's password."),
    click.option("--module", "as_module", type=_FILE, help="PKCS#11 module of your USB key, instead of --key."),
    click.option("--token", "as_token", default="", help="Its label."),
    click.option("--pin-fd", "as_pin_fd", type=int, help="Descriptor with its PIN. Default: asked for."),
)
reason_option = click.option("--reason", required=True, help="Why; kept with the deed for ever.")


def acting(command: F) -> F:
    """The options that say who acts and why; the command takes them in `**who`."""
    return signing(reason_option(command))


def signing(command: F) -> F:
    """The options that say with which key; the command takes them in `**who`."""
    for option in reversed(_KEY_OPTIONS):
        command = option(command)
    return command


async def act(
    shared: Shared,
    config_file: Path,
    who: Mapping[str, Any],
    action: str,
    subject: str,
    **fields: str,
) -> "Acted":
    """Sign one deed and do it; empty fields are left out. Raises NotSo: refused, or a key that cannot sign."""
    from gateway.config import build_env
    from gateway.ops.desk import open_desk

    config = shared.load(config_file)
    async with open_desk(config, build_env(config, shared.adapters)) as desk:
        with signer_of(shared, config, who) as signer:
            return await do_signed(desk, signer, make_deed(shared, who, action, subject, **fields))


def make_deed(shared: Shared, who: Mapping[str, Any], action: str, subject: str, **fields: str) -> "Deed":
    """A deed of now, with a fresh nonce, to be signed."""
    from gateway.core.items_deeds import Deed
    from gateway.ops.enrol import ms

    return Deed(
        action=action,
        subject=subject,
        reason=who["reason"],
        at=ms(shared.clock.now()),
        nonce=secrets.token_urlsafe(24),
        fields={name: text for name, text in fields.items() if text},
    )


async def do_signed(desk: "Desk", signer: "Signer", deed: "Deed") -> "Acted":
    """Sign a deed and do it in an open book. Raises NotSo with the refusal's words."""
    from contracts.strict_json import canonical
    from gateway.core.items import Refusal
    from gateway.core.items_deeds import Act, Acted
    from gateway.ops.desk import entropy

    data = canonical(deed)
    item = Act(
        arrival_id=secrets.token_hex(16),
        deed=data,
        signature=signer.sign(data),
        keyid=signer.keyid,
        entropy=entropy(),
    )
    reply = await desk.run(item)
    if isinstance(reply, Refusal):
        raise NotSo(f"refused ({reply.slug}): {reply.detail}{field_text(reply)}")
    if not isinstance(reply, Acted):
        raise TypeError(f"unexpected reply {type(reply).__name__}")
    return reply


def field_text(refusal: "Refusal") -> str:
    """Which field a refusal is about, to be put behind its words; "" where it names none."""
    return f" (field {refusal.field})" if refusal.field else ""


def tell(acted: "Acted", done: str) -> None:
    """What came of it, and what another person does next."""
    if acted.waits is None:
        click.echo(done)
    else:
        click.echo(f"prepared; another person approves it: bianmin ops approve {acted.waits}")


@contextmanager
def signer_of(shared: Shared, config: "Config", who: Mapping[str, Any]) -> "Iterator[Signer]":
    """The key that signs, open until the block ends. Raises NotSo for one that cannot, UsageError for half a choice."""
    from certs.tokens.faults import TokenFault

    try:
        with _opened(shared, who) as signer:
            _check(shared, config, signer)
            yield signer
    except TokenFault as fault:
        raise NotSo(f"{fault.shop_text} ({fault.hint})") from fault


@contextmanager
def _opened(shared: Shared, who: Mapping[str, Any]) -> "Iterator[Signer]":
    from certs.keys import PemSigner, load_certificate

    if who["as_module"] is None:
        files = who["as_cert"], who["as_key"], who["as_password"]
        if None in files:
            raise click.UsageError("who acts? --as, --key and --password-file, or --module and --token")
        yield PemSigner.load(*files)
        return
    if who["as_key"] is not None or not who["as_token"]:
        raise click.UsageError("a USB key is --module and --token, without --key")
    from certs.cli_ca import Secrets
    from certs.tokens.library import TokenSpec
    from certs.tokens.signer import TokenSigner

    pins = Secrets({}, () if who["as_pin_fd"] is None else (who["as_pin_fd"],))
    given = load_certificate(who["as_cert"]) if who["as_cert"] is not None else None
    spec = TokenSpec(module=who["as_module"].absolute(), token=who["as_token"])
    token = TokenSigner.open(spec, pins.pin, now=shared.clock.now(), certificate=given)
    try:
        yield token
    finally:
        token.close()


def _check(shared: Shared, config: "Config", signer: "Signer") -> None:
    """A person's certificate under this installation's CA; the book judges the rest."""
    from certs.certificates import Role, parse_certificate
    from certs.core.chains import judge_among
    from certs.keys import load_certificate, load_certificates

    own = parse_certificate(signer.certificate_der)
    issuings, root = load_certificates(config.keys.issuing_cert_file), load_certificate(config.keys.root_cert_file)
    slug = judge_among(own, issuings, root, shared.clock.now())
    if slug is not None:
        raise NotSo(f"refused ({slug}): this certificate does not stand under the installation's CA now")
    if own.role is not Role.OPERATOR:
        raise NotSo(f"refused: a certificate of the staff is needed, this one is for {own.role}")
