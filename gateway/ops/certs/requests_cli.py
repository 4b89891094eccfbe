"""`bianmin certs apply, renew, approve, refuse, issue`: from a key to a registered certificate."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.ops.certs.acting import act, acting, do_signed, make_deed, signer_of, tell
from gateway.ops.shared import NotSo, Shared, config_option, in_loop, pass_shared

if TYPE_CHECKING:
    from certs.authority.issuing import Authority
    from certs.certificates import Certificate
    from gateway.config import Config
    from gateway.core.rows import CertificateRequest
    from gateway.ops.desk import Desk

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_PLACE = (
    click.option("--station", default="", help="Institution code, of a station's certificate."),
    click.option("--terminal", default="", help="Of a station's certificate."),
    click.option("--operator", default="", help="Of a station's certificate."),
    click.option("--staff", default="", help="Staff id, of a certificate of the staff."),
    click.option("--key-serial", default="", help="Of the USB key that holds the key."),
)


def place(command: Any) -> Any:
    """The options that say whose a certificate is."""
    for option in reversed(_PLACE):
        command = option(command)
    return command


def place_fields(given: dict[str, Any]) -> dict[str, str]:
    """Those options as fields of a deed, taken out of `given`."""
    return {
        "institution_code": given.pop("station"),
        "terminal_id": given.pop("terminal"),
        "operator_id": given.pop("operator"),
        "staff_id": given.pop("staff"),
        "key_serial": given.pop("key_serial"),
    }


@click.command("apply")
@click.argument("csr", type=_FILE)
@place
@acting
@config_option
@pass_shared
@in_loop
async def apply(shared: Shared, csr: Path, config_file: Path, **given: Any) -> None:
    """Apply for a certificate for the key of CSR (PEM or DER), which its holder made and signed."""
    fields = place_fields(given)
    await _apply(shared, config_file, csr, fields, given)


@click.command("renew")
@click.argument("keyid")
@click.argument("csr", type=_FILE)
@click.option(
    "--old-signature", required=True, type=_FILE, help="What the old key signed: terminal renewal, certs staff renewal."
)
@click.option("--key-serial", default="", help="Of the USB key that holds the new key. Default: the old one's.")
@acting
@config_option
@pass_shared
@in_loop
async def renew(shared: Shared, keyid: str, csr: Path, old_signature: Path, config_file: Path, **given: Any) -> None:
    """Apply for the certificate that takes the place of KEYID: same terminal or person, new key, asked for by the old
    one. Both work until KEYID is replaced: certs replace."""
    fields = await _place_of(shared, config_file, keyid)
    fields["key_serial"] = given.pop("key_serial") or fields["key_serial"]
    fields |= {"renews": keyid, "renewal_signature": base64.b64encode(_bytes(old_signature)).decode()}
    await _apply(shared, config_file, csr, fields, given)


async def _place_of(shared: Shared, config_file: Path, keyid: str) -> dict[str, str]:
    """The place of a certificate as its binding has it; a person's, himself. Raises NotSo where it has none."""
    from certs.certificates import parse_certificate
    from gateway.config import build_env
    from gateway.core.rows import Binding, RegisteredCertificate
    from gateway.ops.certs.book import rows_of
    from gateway.ops.desk import open_desk

    config = shared.load(config_file)
    async with open_desk(config, build_env(config, shared.adapters)) as desk:
        found = await rows_of(desk, RegisteredCertificate, "keyid = :keyid", {"keyid": keyid})
        bound = await rows_of(desk, Binding, "keyid = :keyid AND unbound_at IS NULL", {"keyid": keyid})
    if not found:
        raise NotSo(f"there is no certificate {keyid}")
    place = {"institution_code": "", "terminal_id": "", "operator_id": "", "staff_id": found[0].staff_id or ""}
    if place["staff_id"]:
        # The department's code, where the old one named it.
        place["institution_code"] = parse_certificate(found[0].der).institution_code
    else:
        if not bound:
            raise NotSo(f"certificate {keyid} is {found[0].state} and bound to no place: apply for a new one")
        place |= {name: getattr(bound[0], name) for name in ("institution_code", "terminal_id", "operator_id")}
    return place | {"key_serial": found[0].key_serial}


async def _apply(shared: Shared, config_file: Path, csr: Path, fields: dict[str, str], who: dict[str, Any]) -> None:
    from certs.core.certificate_requests import KnownKeys, RequestRefused, read_request
    from gateway.ops.certs.by_root import request_of

    der = request_of(csr)
    try:
        request = read_request(der, KnownKeys())
    except RequestRefused as refused:
        raise NotSo(f"{csr}: {refused}") from refused
    profile = "station" if fields["institution_code"] and not fields["staff_id"] else "operator"
    if fields["staff_id"] and fields["key_serial"] and fields["institution_code"]:
        profile = "staff"
    fields |= {"profile": profile, "csr": base64.b64encode(der).decode()}
    acted = await act(shared, config_file, who, "certs.apply", request.public_key_sha256, **fields)
    click.echo(f"application {acted.state}; compare the key's fingerprint with the holder's: {_groups(acted.subject)}")


def _bytes(file: Path) -> bytes:
    return file.read_bytes()


def _groups(digest: str) -> str:
    return " ".join(digest[at : at + 4] for at in range(0, len(digest), 4))


@click.command("approve")
@click.argument("request_id")
@acting
@config_option
@pass_shared
@in_loop
async def approve(shared: Shared, request_id: str, config_file: Path, **who: Any) -> None:
    """Approve an application that another person has made (M12)."""
    tell(await act(shared, config_file, who, "certs.approve", request_id), f"application {request_id} is APPROVED")


@click.command("refuse")
@click.argument("request_id")
@acting
@config_option
@pass_shared
@in_loop
async def refuse(shared: Shared, request_id: str, config_file: Path, **who: Any) -> None:
    """Refuse an application, or take back one of your own."""
    tell(await act(shared, config_file, who, "certs.refuse", request_id), f"application {request_id} is REFUSED")


@click.command("issue")
@click.argument("request_id")
@click.option("--certificate", "made", type=_FILE, help="It was issued elsewhere: register this one.")
@click.option("--ca", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), help="The authority.")
@click.option("--issuing-password-file", type=_FILE, help="With --ca. Default: asked for.")
@click.option("--issuing-pin-fd", type=int, help="With --ca: descriptor with its token's PIN.")
@click.option("--out", type=click.Path(path_type=Path), help="Write it there (PEM), for its holder.")
@acting
@config_option
@pass_shared
@in_loop
async def issue(shared: Shared, request_id: str, config_file: Path, out: Path | None, **given: Any) -> None:
    """Issue the certificate of an approved application and register it. Default: the configuration's issuing key."""
    from certs.authority.files import write_certificate
    from gateway.config import build_env
    from gateway.ops.desk import open_desk

    _refuse_existing(out)
    config = shared.load(config_file)
    async with open_desk(config, build_env(config, shared.adapters)) as desk:
        request = await find_request(desk, request_id)
        leaf = _read(given["made"]) if given["made"] else await _issue(shared, config, desk, request, given)
        # Whether it stands under our CA is judged by the book, as everything is.
        fields = {"certificate": base64.b64encode(leaf.der).decode()}
        with signer_of(shared, config, given) as signer:
            await do_signed(desk, signer, make_deed(shared, given, "certs.issue", request_id, **fields))
    if out is not None:
        write_certificate(out, leaf)
    click.echo(f"certificate {leaf.keyid} is ISSUED to {leaf.operator}, until {leaf.not_after:%Y-%m-%d}")


def _refuse_existing(out: Path | None) -> None:
    if out is not None and out.exists():
        raise click.UsageError(f"--out: {out} exists")


async def find_request(desk: "Desk", request_id: str) -> "CertificateRequest":
    """An application. Raises NotSo."""
    from gateway.core.rows import CertificateRequest
    from gateway.ops.certs.book import rows_of

    found = await rows_of(desk, CertificateRequest, "request_id = :id", {"id": request_id})
    if not found:
        raise NotSo(f"there is no application {request_id}")
    if found[0].state != "APPROVED":
        raise NotSo(f"application {request_id} is {found[0].state}, not APPROVED")
    return found[0]


def _read(file: Path) -> "Certificate":
    from certs.keys import load_certificates

    return load_certificates(file)[0]


async def _issue(
    shared: Shared, config: "Config", desk: "Desk", request: "CertificateRequest", given: dict[str, Any]
) -> "Certificate":
    from certs.authority.issuing import IssueRefused
    from certs.authority.issuing import issue as make
    from certs.authority.profiles import profile
    from certs.core.certificate_requests import RequestRefused, read_request
    from certs.core.subjects import Subject
    from certs.tokens.faults import TokenFault
    from gateway.ops.certs.book import known_keys, serials_of

    try:
        key = read_request(request.csr, await known_keys(desk)).public_key
        with _authority(shared, config, given) as authority:
            subject = Subject(
                organization=authority.organization,
                operator=request.name,
                institution_code=request.institution_code,
                usb_key_serial=request.key_serial,
            )
            serials = await serials_of(desk, authority.certificate.keyid)
            return make(authority, profile(request.profile), key, subject, now=shared.clock.now(), serials=serials)
    except (IssueRefused, RequestRefused, TokenFault) as refused:
        raise NotSo(str(refused)) from refused


@contextmanager
def _authority(shared: Shared, config: "Config", given: dict[str, Any]) -> "Iterator[Authority]":
    """The issuing CA that signs: of a folder the one in its period, else the configuration's."""
    if given["folder"] is None:
        from gateway.ops.enrol import load_issuing

        yield load_issuing(config)
        return
    from certs.authority.folder import opened_authority, read_folder
    from certs.cli_ca import Secrets

    fds = () if given["issuing_pin_fd"] is None else (given["issuing_pin_fd"],)
    found = read_folder(given["folder"])
    period = found.current(shared.clock.now())
    if period is None:
        raise NotSo("no issuing CA of this folder can issue now: bianmin certs ca rotate")
    secrets = Secrets({"issuing": given["issuing_password_file"]}, fds)
    with opened_authority(found, period.name, period.certificate, secrets) as authority:
        yield authority
