"""`bianmin certs staff restore`: the way back when fewer than two people can approve, by the root's key (M12)."""

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.ops.certs.acting import do_signed, make_deed, reason_option
from gateway.ops.shared import NotSo, Shared, config_option, in_loop, pass_shared

if TYPE_CHECKING:
    from certs.authority.issuing import Authority
    from certs.certificates import Certificate
    from certs.cli_ca import Secrets
    from gateway.config import Config
    from gateway.ops.certs.by_root import Newcomer
    from gateway.ops.desk import Desk

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_PEOPLE_MAX = 2


@click.command("restore")
@click.option("--ca", "root_folder", type=_FOLDER, required=True, help="The authority's folder with the root's key.")
@click.option("--issuing-ca", "issuing_folder", type=_FOLDER, help="With the issuing key. Default: the same.")
@click.option(
    "--person",
    "people",
    type=(str, str, str, _FILE),
    multiple=True,
    required=True,
    metavar="ID NAME DEPARTMENT CSR",
    help="Whom to bring in, with the request for his key; repeat for a second one.",
)
@click.option(
    "--lost",
    multiple=True,
    metavar="STAFF_ID|KEYID",
    help="Whose keys are gone, or which certificate: frozen in the same commit, and they count no more; repeatable.",
)
@click.option("--root-password-file", type=_FILE, help="One line. Default: asked for.")
@click.option("--issuing-password-file", type=_FILE, help="One line. Default: asked for.")
@click.option(
    "--pin-fd", "pin_fds", type=int, multiple=True, help="Descriptor with a PIN: the issuing token's, the root's."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to make for ID.cert.pem of each.")
@reason_option
@config_option
@pass_shared
@in_loop
async def restore(shared: Shared, people: tuple[Any, ...], out: Path, config_file: Path, **given: Any) -> None:
    """Bring in one or two people with certificates that work at once, on the word of the root's key.

    Only while fewer than two people can approve, whatever --lost names not counted: whoever has lost his key cannot
    freeze it himself. Who is of the staff already gets another certificate under his own ID. It raises the alarm
    `staff.restored`.
    """
    from certs.authority.files import write_certificate
    from certs.cli_ca import Secrets
    from certs.tokens.faults import TokenFault
    from gateway.config import build_env
    from gateway.core.root_deeds import RESTORE
    from gateway.ops.certs.by_root import fields_of, root_signer
    from gateway.ops.desk import open_desk
    from gateway.ops.folders import kept_unless_refused, made_whole

    if len(people) > _PEOPLE_MAX:
        raise click.UsageError(f"--person: {_PEOPLE_MAX} at most; the others are added by these two")
    config = shared.load(config_file)
    files = {"root": given["root_password_file"], "issuing": given["issuing_password_file"]}
    unlock = Secrets(files, given["pin_fds"])
    try:
        async with open_desk(config, build_env(config, shared.adapters)) as desk:
            folder = _own_folder(config, given["root_folder"])
            issued = await _issue(shared, desk, given["issuing_folder"] or given["root_folder"], people, unlock)
            deed = make_deed(shared, given, RESTORE, secrets.token_hex(8), **fields_of(issued, given["lost"]))
            with made_whole(out) as made:
                for one in issued:
                    write_certificate(made / f"{one.staff_id}.cert.pem", one.certificate)
            with kept_unless_refused(out), root_signer(folder, unlock) as root:
                await do_signed(desk, root, deed)
    except TokenFault as fault:
        raise NotSo(f"{fault.shop_text} ({fault.hint})") from fault
    for one in issued:
        click.echo(f"{one.staff_id} {one.name} can approve with {one.certificate.keyid}")
    for lost in dict.fromkeys(given["lost"]):
        click.echo(f"{lost} is lost: frozen; end it for good with bianmin certs revoke")
    click.echo("alarm staff.restored; look: bianmin audit, bianmin certs staff list")


def _own_folder(config: "Config", path: Path) -> Any:
    """The authority's folder. Raises NotSo where its root is another than the installation's."""
    from certs.authority.folder import read_folder
    from certs.keys import load_certificate

    folder = read_folder(path)
    if folder.root != load_certificate(config.keys.root_cert_file):
        raise NotSo(f"refused: the root of {path} is not this installation's")
    return folder


async def _issue(
    shared: Shared, desk: "Desk", path: Path, people: tuple[Any, ...], unlock: "Secrets"
) -> "list[Newcomer]":
    """A certificate for each person's own key. Raises NotSo."""
    from certs.authority.folder import opened_authority, read_folder
    from certs.authority.issuing import IssueRefused
    from certs.core.certificate_requests import RequestRefused
    from gateway.ops.certs.book import known_keys, serials_of
    from gateway.ops.certs.by_root import Newcomer, request_of

    folder = read_folder(path)
    period = folder.current(shared.clock.now())
    if period is None:
        raise NotSo("no issuing CA of this folder can issue now: bianmin certs ca rotate")
    found: list[Newcomer] = []
    known, used = await known_keys(desk), await serials_of(desk, period.certificate.keyid)
    with opened_authority(folder, period.name, period.certificate, unlock) as authority:
        for staff_id, name, department, file in people:
            csr = request_of(file, staff_id)
            try:
                made = _certify(authority, csr, name, shared=shared, known=known, serials=used)
            except (IssueRefused, RequestRefused) as refused:
                raise NotSo(f"{staff_id}: {file}: {refused}") from refused
            found.append(Newcomer(staff_id=staff_id, name=name, department=department, certificate=made, csr=csr))
    return found


def _certify(
    authority: "Authority", csr: bytes, name: str, *, shared: Shared, known: Any, serials: Any
) -> "Certificate":
    from certs.authority.issuing import issue
    from certs.authority.profiles import profile
    from certs.core.certificate_requests import read_request
    from certs.core.subjects import Subject

    key = read_request(csr, known).public_key
    subject = Subject(organization=authority.organization, operator=name)
    return issue(authority, profile("operator"), key, subject, now=shared.clock.now(), serials=serials)
