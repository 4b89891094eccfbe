"""`bianmin certs crl`: publish the list of what is revoked, show what is published (certs/README.md)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.ops.shared import NotSo, Shared, config_option, echo_json, in_loop, json_option, pass_shared

if TYPE_CHECKING:
    from datetime import datetime

    from certs.authority.issuing import Authority
    from certs.certificates import Certificate
    from gateway.config import Config
    from gateway.core.revocations import ListView
    from gateway.ops.certs.lists import Published
    from gateway.ops.desk import Desk

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("crl")
def crl() -> None:
    """Publish the list of revoked certificates; show what is published."""


@crl.command("publish")
@config_option
@click.option(
    "--ca",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help=("Folder of the authority: every period's list. Default: the issuing key of the configuration."),
)
@click.option("--issuing-password-file", type=_FILE, help="One line, with --ca. Default: asked for.")
@click.option("--pin-fd", "pin_fds", type=int, multiple=True, help="Descriptor with a token's PIN, with --ca.")
@json_option
@pass_shared
@in_loop
async def publish(shared: Shared, config_file: Path, folder: Path | None, as_json: bool, **given: Any) -> None:
    """Sign and keep the next list; the gateway serves it at once.

    Run it every 12 hours and after every revocation: a list is good for 24.
    """
    from certs.authority.issuing import IssueRefused
    from certs.tokens.faults import TokenFault
    from gateway.config import build_env
    from gateway.ops.certs.lists import publish as publish_list
    from gateway.ops.desk import open_desk

    config = shared.load(config_file)
    now = shared.clock.now()
    made = []
    try:
        async with open_desk(config, build_env(config, shared.adapters)) as desk:
            for source in _sources(config, folder, now, **given):
                with source as authority:
                    made.append(await publish_list(desk, authority, now))
    except (IssueRefused, TokenFault) as refused:
        raise NotSo(str(refused)) from refused
    if as_json:
        echo_json([_plain(one) for one in made])
    for one in [] if as_json else made:
        click.echo(
            f"{one.issuer_keyid[:16]} list {one.found.number}: {len(one.found.revoked)} revoked,"
            f" until {one.found.next_update:%Y-%m-%d %H:%M} UTC"
        )


def _sources(
    config: "Config", folder: Path | None, now: "datetime", issuing_password_file: Path | None, pin_fds: tuple[int, ...]
) -> "Iterator[Any]":
    """Context managers of the authorities that publish: an issuing CA does so to its own end, also when it issues no
    more."""
    if folder is None:
        from gateway.ops.enrol import load_issuing

        yield _held(load_issuing(config))
        return
    from certs.authority.folder import opened_authority, read_folder
    from certs.cli_ca import Secrets

    secrets = Secrets({"issuing": issuing_password_file}, pin_fds)
    found = read_folder(folder)
    for period in found.issuing:
        if period.certificate.not_before <= now < period.certificate.not_after:
            yield opened_authority(found, period.name, period.certificate, secrets)


@contextmanager
def _held(authority: "Authority") -> "Iterator[Authority]":
    yield authority


def _plain(one: "Published") -> dict[str, Any]:
    return {
        "issuer_keyid": one.issuer_keyid,
        "number": one.found.number,
        "revoked": len(one.found.revoked),
        "next_update": f"{one.found.next_update:%Y-%m-%dT%H:%M:%SZ}",
        "sha256": one.found.sha256,
    }


@crl.command("show")
@config_option
@click.option("--out", type=click.Path(path_type=Path), help="Write the newest list of the newest issuing CA as PEM.")
@json_option
@pass_shared
@click.pass_context
@in_loop
async def show(ctx: click.Context, shared: Shared, config_file: Path, out: Path | None, as_json: bool) -> None:
    """What each issuing CA has published. Exit 1 where one in force has no list, or a stale one."""
    from certs.keys import load_certificates
    from gateway.config import build_env
    from gateway.ops.desk import open_desk

    config = shared.load(config_file)
    now = shared.clock.now()
    issuings = [
        one for one in load_certificates(config.keys.issuing_cert_file) if one.not_before <= now < one.not_after
    ]
    async with open_desk(config, build_env(config, shared.adapters)) as desk:
        found = [(one, await _newest(desk, one)) for one in issuings]
    lines = [_about(one, view, now) for one, view in found]
    if out is not None:
        _write(out, found)
    if as_json:
        echo_json(lines)
    for line in [] if as_json else lines:
        told = "" if line["number"] is None else f"  list {line['number']}, {line['revoked']} revoked, until "
        click.echo(f"{line['issuer_keyid'][:16]} {line['state']}{told}{line.get('next_update', '')}")
    ctx.exit(0 if all(line["state"] == "good" for line in lines) else 1)


async def _newest(desk: "Desk", issuing: "Certificate") -> "ListView":
    from gateway.core.revocations import ListView, PeekList

    view = await desk.look(PeekList(issuer_keyid=issuing.keyid))
    assert isinstance(view, ListView)
    return view


def _about(issuing: "Certificate", view: "ListView", now: "datetime") -> dict[str, Any]:
    from certs.core.revocation_lists import judge_crl, read_crl

    if view.newest is None:
        return {"issuer_keyid": issuing.keyid, "state": "none", "number": None}
    found = read_crl(view.newest.der)
    slug = judge_crl(found, issuing, now)
    return {
        "issuer_keyid": issuing.keyid,
        "state": "good" if slug is None else slug.removeprefix("crl-"),
        "number": found.number,
        "revoked": len(found.revoked),
        "this_update": f"{found.this_update:%Y-%m-%dT%H:%M:%SZ}",
        "next_update": f"{found.next_update:%Y-%m-%dT%H:%M:%SZ}",
        "sha256": found.sha256,
        "serials": [f"{serial:x}" for serial in found.revoked],
    }


def _write(out: Path, found: "list[tuple[Certificate, ListView]]") -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    from certs.core.revocation_lists import read_crl

    newest = next((view.newest for _, view in found if view.newest is not None), None)
    if newest is None:
        raise NotSo("no list is published")
    with out.open("xb") as file:
        file.write(read_crl(newest.der).parsed.public_bytes(Encoding.PEM))
