"""`bianmin certs ca`: make an authority, begin its next period, look at it (certs/README.md)."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from datetime import datetime

    from certs.authority.folder import Folder, Period
    from certs.authority.keyring import TokenPlace
    from certs.core.certificates import Certificate
    from certs.tokens.pins import Pin, PinAsk
    from contracts.ports import Surroundings

PASSWORD_MIN = 12
_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_MODULE = click.option("--module", type=_FILE, help="PKCS#11 module, where a key is in a token.")
_ISSUING_TOKEN = click.option("--issuing-token", default="", help="Label of the token for the new issuing key.")
_ROOT_PASSWORD = click.option("--root-password-file", type=_FILE, help="One line. Default: asked for.")
_ISSUING_PASSWORD = click.option("--issuing-password-file", type=_FILE, help="One line. Default: asked for.")
_PIN_FD = click.option(
    "--pin-fd", "pin_fds", type=int, multiple=True, help="Descriptor with a PIN; repeat in the order of the tokens."
)


class Secrets:
    """certs.authority.keyring.Unlock: files and descriptors first, then the person at the terminal."""

    def __init__(self, passwords: dict[str, Path | None], pin_fds: tuple[int, ...]) -> None:
        self._passwords, self._pin_fds = passwords, list(pin_fds)

    def password(self, name: str, *, fresh: bool) -> bytes:
        """Asked for twice where a key is written with it."""
        from certs.keys import load_password

        file = self._passwords.get(name.partition("-")[0])
        given = (
            load_password(file)
            if file is not None
            else click.prompt(
                f"Password of {name}.key.pem", hide_input=True, confirmation_prompt=fresh, err=True
            ).encode()
        )
        if fresh and len(given) < PASSWORD_MIN:
            raise click.ClickException(f"the password of {name}.key.pem needs at least {PASSWORD_MIN} bytes")
        return given

    def pin(self, ask: "PinAsk") -> "Pin":
        """One try each."""
        from certs.tokens.pins import AskedPin, FdPin

        if self._pin_fds:
            return FdPin(self._pin_fds.pop(0))(ask)
        return AskedPin(_ask_pin)(ask)


def _ask_pin(ask: "PinAsk") -> str:
    for warning in ask.warnings:
        click.echo(f"{ask.label} {ask.key_serial}: {warning}", err=True)
    return str(click.prompt(f"PIN of {ask.label} {ask.key_serial}", hide_input=True, err=True))


@contextmanager
def _told() -> Iterator[None]:
    """What was refused is one line and exit code 1."""
    from certs.authority.issuing import IssueRefused
    from certs.core.certificate_requests import RequestRefused
    from certs.tokens.faults import TokenFault

    try:
        yield
    except (IssueRefused, RequestRefused, TokenFault) as refused:
        raise click.ClickException(str(refused)) from refused


def _place(module: Path | None, token: str) -> "TokenPlace | None":
    from certs.authority.keyring import TokenPlace

    if not token:
        return None
    if module is None:
        raise click.UsageError("a token needs --module")
    return TokenPlace(module=module.absolute(), token=token)


@click.group("ca")
def ca() -> None:
    """Make an authority, begin its next period, look at it."""


@ca.command("init")
@click.argument("folder", type=_FOLDER)
@click.option("--organization", required=True, help="The bureau's name, in every certificate.")
@_MODULE
@click.option("--root-token", default="", help="Label of the token for the root key. Default: a file.")
@_ISSUING_TOKEN
@_ROOT_PASSWORD
@_ISSUING_PASSWORD
@_PIN_FD
@click.pass_obj
def init(surroundings: "Surroundings", /, folder: Path, organization: str, module: Path | None, **given: Any) -> None:
    """Make a root and the first issuing CA in FOLDER, which must not exist."""
    from certs.authority.folder import make_folder

    now = surroundings.clock.now()
    with _told():
        made = make_folder(
            folder,
            organization,
            Secrets({"root": given["root_password_file"], "issuing": given["issuing_password_file"]}, given["pin_fds"]),
            now,
            root_place=_place(module, given["root_token"]),
            issuing_place=_place(module, given["issuing_token"]),
        )
    _echo(made, now)


@ca.command("rotate")
@click.argument("folder", type=_FOLDER)
@_MODULE
@_ISSUING_TOKEN
@_ROOT_PASSWORD
@_ISSUING_PASSWORD
@_PIN_FD
@click.pass_obj
def rotate(surroundings: "Surroundings", /, folder: Path, module: Path | None, **given: Any) -> None:
    """Make the next issuing CA under the root of FOLDER. The old ones go on verifying until their end."""
    from certs.authority import folder as folders

    now = surroundings.clock.now()
    secrets = Secrets(
        {"root": given["root_password_file"], "issuing": given["issuing_password_file"]}, given["pin_fds"]
    )
    with _told():
        folders.rotate(folders.read_folder(folder), secrets, now, _place(module, given["issuing_token"]))
    _echo(folders.read_folder(folder), now)


@ca.command("show")
@click.argument("folder", type=_FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.pass_context
def show(ctx: click.Context, folder: Path, as_json: bool) -> None:
    """Root and issuing CAs of FOLDER: which one issues, where the keys are. Exit 1 if none can issue."""
    from certs.authority.folder import read_folder

    now = ctx.obj.clock.now()
    found = read_folder(folder)
    if as_json:
        click.echo(json.dumps(_about(found, now), ensure_ascii=False, indent=2))
    else:
        _echo(found, now)
    if found.current(now) is None:
        ctx.exit(1)


def _echo(folder: "Folder", now: "datetime") -> None:
    about = _about(folder, now)
    click.echo(about["organization"])
    for one in (about["root"], *about["issuing"]):
        click.echo(
            f"{one['name']:<12} {one['state']:<9} {one['not_before'][:10]} to {one['not_after'][:10]}"
            f"  {one['key']:<8} {one['kept']}  {one['keyid'][:16]}"
        )
    if about["rotate_due"]:
        click.echo("a new issuing CA is due: bianmin certs ca rotate")


def _about(folder: "Folder", now: "datetime") -> dict[str, Any]:
    from certs.authority.profiles import profiles

    current = folder.current(now)
    longest = max(one.days_min for one in profiles().values() if not one.ca)
    return {
        "organization": folder.organization,
        "root": _one(folder, "root", folder.root, now, "verifies"),
        "issuing": [_issuing(folder, one, current, now) for one in folder.issuing],
        "current": None if current is None else current.number,
        "rotate_due": current is None or (current.certificate.not_after - now).days <= longest,
    }


def _issuing(folder: "Folder", period: "Period", current: "Period | None", now: "datetime") -> dict[str, Any]:
    state = "issues" if period == current else "verifies"
    return {"number": period.number, **_one(folder, period.name, period.certificate, now, state)}


def _one(folder: "Folder", name: str, certificate: "Certificate", now: "datetime", state: str) -> dict[str, Any]:
    from certs.authority.keyring import place_of

    place = place_of(folder.path, name)
    if now < certificate.not_before:
        state = "not-yet"
    elif now >= certificate.not_after:
        state = "ended"
    return {
        "name": name,
        "state": state,
        "keyid": certificate.keyid,
        "serial": f"{certificate.serial:x}",
        "not_before": f"{certificate.not_before:%Y-%m-%dT%H:%M:%SZ}",
        "not_after": f"{certificate.not_after:%Y-%m-%dT%H:%M:%SZ}",
        "key": "P-256" if certificate.alg.startswith("ecdsa") else f"RSA-{certificate.public_key.key_size}",
        "kept": "file" if place is None else f"token {place.token} {place.key_serial}",
        "public_key_sha256": certificate.public_key_sha256,
    }
