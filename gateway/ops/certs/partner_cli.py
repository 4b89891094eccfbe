"""`bianmin certs partner`: whom we believe of a biller's certificates, and its CA's revocation lists."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.ops.certs.acting import act, acting, tell
from gateway.ops.shared import NotSo, Shared, config_option, echo_json, in_loop, json_option, pass_shared

if TYPE_CHECKING:
    from datetime import datetime

    from certs.core.algorithms import Dates
    from certs.core.revocation_lists import RevocationList
    from gateway.core.rows import PartnerCertificate
    from gateway.ops.desk import Desk

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_DAY_MS = 86_400_000


@click.group("partner")
def partner() -> None:
    """Certificates of partners: add, approve, close, verify, list; crl."""


@partner.command("add")
@click.argument("biller")
@click.argument("file", type=_FILE)
@click.option(
    "--use",
    type=click.Choice(["sign", "tls", "ca", "watch"]),
    default="sign",
    show_default=True,
    help="sign: its signatures. tls: its server, or its client on the notices' port. ca: whose revocation lists count."
    " watch: only its dates are watched, whatever its key (SM2).",
)
@acting
@config_option
@pass_shared
@in_loop
async def add(shared: Shared, biller: str, file: Path, use: str, config_file: Path, **who: Any) -> None:
    """Prepare that FILE, one certificate of BILLER, is pinned; another person approves it.

    Compare its SHA-256 with the partner by another way than the one it came by. Two of one use count at the same time,
    so that the partner can change over; each has a key of its own.
    """
    from base64 import b64encode

    from certs.core.algorithms import read_dates
    from certs.keys import load_certificate

    certificate = _dates_of(file) if use == "watch" else read_dates(load_certificate(file).der)
    encoded = b64encode(certificate.der).decode()
    keyid = certificate.keyid
    acted = await act(shared, config_file, who, "partner.add", keyid, biller=biller, use=use, certificate=encoded)
    click.echo(f"{biller} {use} {keyid}")
    click.echo(f"{certificate.subject}, until {certificate.not_after:%Y-%m-%d}")
    tell(acted, "pinned")


@partner.command("approve")
@click.argument("plan")
@acting
@config_option
@pass_shared
@in_loop
async def approve(shared: Shared, plan: str, config_file: Path, **who: Any) -> None:
    """Approve the plan with this SHA-256 that another person has prepared; the same as `ops approve`."""
    acted = await act(shared, config_file, who, "ops.approve", plan)
    click.echo(f"plan {plan} is {acted.state}")


@partner.command("close")
@click.argument("biller")
@click.argument("keyid")
@acting
@config_option
@pass_shared
@in_loop
async def close(shared: Shared, biller: str, keyid: str, config_file: Path, **who: Any) -> None:
    """From now on nothing by this certificate counts. Final: its key never comes back."""
    acted = await act(shared, config_file, who, "partner.close", keyid, biller=biller)
    click.echo(f"{biller} {keyid} is {acted.state}")


@partner.command("verify")
@click.argument("biller")
@click.argument("file", type=_FILE)
@click.argument("signature", type=_FILE)
@click.option("--keyid", default="", help="By this certificate alone; default: any of BILLER's that counts now.")
@config_option
@pass_shared
@in_loop
async def verify(shared: Shared, biller: str, config_file: Path, **given: Any) -> None:
    """Whether SIGNATURE (raw bytes: r and s of 32 bytes each, or PKCS#1 v1.5 with SHA-256) over FILE is by a
    certificate that is pinned for BILLER's signatures and counts now. Exit 1 where it is not."""
    from gateway.config import build_env
    from gateway.flow.partner_signatures import Unproven, partner_signature
    from gateway.ops.desk import open_desk

    config = shared.load(config_file)
    if biller not in config.billers:
        raise NotSo(f"refused (not-found): there is no biller {biller}")
    data, signature = _bytes_of(given["file"]), _bytes_of(given["signature"])
    async with open_desk(config, build_env(config, shared.adapters)) as desk:
        found = await partner_signature(desk, biller, data, signature, given["keyid"])
    if isinstance(found, Unproven):
        raise NotSo(f"not proven ({found.slug}): {found.detail}")
    click.echo(f"signed by {biller} {found.keyid}")


@partner.command("list")
@click.option("--biller", default="", help="Only this one's.")
@config_option
@json_option
@pass_shared
@click.pass_context
@in_loop
async def list_certificates(ctx: click.Context, shared: Shared, biller: str, config_file: Path, as_json: bool) -> None:
    """What is pinned, and the lists of partners' CAs. Exit 1 where one ends within 7 days or a list is stale."""
    from gateway.config import build_env
    from gateway.core.rows import PartnerCertificate
    from gateway.ops.certs.book import rows_of
    from gateway.ops.desk import open_desk
    from gateway.ops.enrol import ms

    config, now = shared.load(config_file), ms(shared.clock.now())
    async with open_desk(config, build_env(config, shared.adapters)) as desk:
        rows = await rows_of(
            desk, PartnerCertificate, "biller = :biller OR :biller = ''", {"biller": biller}, "biller, use, added_at"
        )
        found = [_about(row, now) | await _list_of(desk, row, now) for row in rows]
    if as_json:
        echo_json(found)
    for one in [] if as_json else found:
        crl = f"  list {one['crl_number']} until {one['crl_until'] or '-'}" if one["use"] == "ca" else ""
        click.echo(
            f"{one['biller']:<12} {one['use']:<4} {one['state']:<8} until {one['not_after'][:10]}  {one['keyid']}{crl}"
        )
    ctx.exit(1 if any(one["due"] for one in found) else 0)


def _about(row: "PartnerCertificate", now: int) -> dict[str, Any]:
    from gateway.core.env import rfc3339

    return {
        "biller": row.biller,
        "use": row.use,
        "state": row.state,
        "keyid": row.keyid,
        "not_before": rfc3339(row.not_before),
        "not_after": rfc3339(row.not_after),
        "added_by": row.added_by,
        "approved_by": row.approved_by,
        "reason": row.reason,
        "due": row.state == "ACTIVE" and now >= row.not_after - 7 * _DAY_MS,
    }


async def _list_of(desk: "Desk", row: "PartnerCertificate", now: int) -> dict[str, Any]:
    from gateway.core.env import rfc3339
    from gateway.core.revocations import ListView, PeekList

    if row.use != "ca" or row.state != "ACTIVE":
        return {}
    view = await desk.look(PeekList(issuer_keyid=row.keyid))
    assert isinstance(view, ListView)
    newest = view.newest
    if newest is None:
        return {"crl_number": None, "crl_until": None, "due": True}
    due = now >= min(newest.next_update, row.not_after - 7 * _DAY_MS)
    return {"crl_number": newest.number, "crl_until": rfc3339(newest.next_update), "due": due}


@partner.group("crl")
def crl() -> None:
    """Revocation lists of partners' CAs."""


@crl.command("add")
@click.argument("biller")
@click.argument("file", type=_FILE)
@config_option
@pass_shared
@in_loop
async def add_list(shared: Shared, biller: str, file: Path, config_file: Path) -> None:
    """Take in the list of BILLER's CA (PEM or DER). It proves itself: nobody signs for it here.

    Refused: one of another CA, badly signed, older than the one in force, or out of its time. Until the next fresh one
    is here, signatures of this partner that stand on its CA are refused.
    """
    from gateway.config import build_env
    from gateway.ops.desk import open_desk

    config = shared.load(config_file)
    async with open_desk(config, build_env(config, shared.adapters)) as desk:
        keyid, found = await _take(desk, biller, _read(file), shared.clock.now())
    click.echo(
        f"{biller} {keyid[:16]}: list {found.number}, {len(found.revoked)} revoked,"
        f" until {found.next_update:%Y-%m-%d %H:%M} UTC"
    )


def _read(file: Path) -> "RevocationList":
    from certs.core.revocation_lists import CrlError, read_crl

    try:
        return read_crl(file.read_bytes())
    except CrlError as wrong:
        raise NotSo(f"no revocation list: {wrong}") from wrong


def _bytes_of(file: Path) -> bytes:
    return file.read_bytes()


def _dates_of(file: Path) -> "Dates":
    from certs.core.algorithms import read_dates

    try:
        return read_dates(file.read_bytes())
    except ValueError as wrong:
        raise NotSo(f"no certificate: {wrong}") from wrong


async def _take(desk: "Desk", biller: str, found: "RevocationList", now: "datetime") -> "tuple[str, RevocationList]":
    from certs.certificates import parse_certificate
    from certs.core.revocation_lists import Seen, judge_crl, read_crl
    from gateway.core.revocations import KeepList, ListView, PeekList
    from gateway.core.rows import PartnerCertificate
    from gateway.ops.certs.book import rows_of
    from gateway.ops.enrol import ms
    from gateway.ops.register import need

    where = "biller = :biller AND use = 'ca' AND state = 'ACTIVE'"
    slugs = set()
    for row in await rows_of(desk, PartnerCertificate, where, {"biller": biller}):
        view = await desk.look(PeekList(issuer_keyid=row.keyid))
        assert isinstance(view, ListView)
        seen = Seen(number=view.newest.number, sha256=read_crl(view.newest.der).sha256) if view.newest else None
        slug = judge_crl(found, parse_certificate(row.der), now, seen=seen)
        if slug is None:
            item = KeepList(
                issuer_keyid=row.keyid,
                number=found.number,
                der=found.der,
                this_update=ms(found.this_update),
                next_update=ms(found.next_update),
                serials=None,
            )
            need(await desk.run(item))
            return row.keyid, found
        slugs.add(slug)
    told = ", ".join(sorted(slugs - {"crl-wrong-issuer"}) or sorted(slugs)) or f"{biller} has no CA here: add one first"
    raise NotSo(f"the list is not taken in ({told})")
