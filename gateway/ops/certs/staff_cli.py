"""`bianmin certs staff`: the people of the bureau and what their departments may do (ROLE-01 … ROLE-12)."""

from pathlib import Path
from typing import Any

import click

from gateway.ops.certs.acting import act, acting, signer_of, signing, tell
from gateway.ops.certs.restore_cli import restore
from gateway.ops.shared import Shared, config_option, echo_json, in_loop, json_option, pass_shared


@click.group("staff")
def staff() -> None:
    """People of the bureau: add, leave, renewal, list; restore by the root's key."""


staff.add_command(restore)


@staff.command("add")
@click.argument("staff_id")
@click.option("--name", required=True)
@click.option("--department", required=True, help="As gateway/ops/roles.toml names it.")
@acting
@config_option
@pass_shared
@in_loop
async def add(shared: Shared, staff_id: str, name: str, department: str, config_file: Path, **who: Any) -> None:
    """Prepare a new person; then apply for his certificate: certs apply --staff."""
    fields = {"name": name, "department": department}
    tell(await act(shared, config_file, who, "staff.add", staff_id, **fields), "")


@staff.command("leave")
@click.argument("staff_id")
@acting
@config_option
@pass_shared
@in_loop
async def leave(shared: Shared, staff_id: str, config_file: Path, **who: Any) -> None:
    """A person may do nothing more, at once; his certificates are frozen."""
    tell(await act(shared, config_file, who, "staff.leave", staff_id), f"{staff_id} has LEFT")


@staff.command("renewal")
@click.argument("csr", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@signing
@config_option
@pass_shared
def renewal(shared: Shared, /, csr: Path, out: Path, config_file: Path, **who: Any) -> None:
    """Sign the request CSR for your new key with your old one, which --as or --token names; write that to OUT.

    Then: certs renew KEYID CSR --old-signature OUT.
    """
    from certs.authority.files import write_new
    from certs.core.certificate_requests import KnownKeys, RequestRefused, read_request
    from certs.core.renewals import renewal_text
    from gateway.ops.certs.by_root import request_of
    from gateway.ops.shared import NotSo

    der = request_of(csr)
    try:
        read_request(der, KnownKeys())
    except RequestRefused as refused:
        raise NotSo(f"{csr}: {refused}") from refused
    with signer_of(shared, shared.load(config_file), who) as signer:
        write_new(out, signer.sign(renewal_text(signer.keyid, der)), 0o644)
    click.echo(f"signed by {signer.keyid}: bianmin certs renew {signer.keyid} {csr} --old-signature {out}")


@staff.command("list")
@config_option
@json_option
@pass_shared
@in_loop
async def list_staff(shared: Shared, config_file: Path, as_json: bool) -> None:
    """Every person with certificates and rights."""
    from gateway.config import build_env
    from gateway.core.rights import Rights
    from gateway.core.rows import RegisteredCertificate, StaffMember
    from gateway.ops.certs.book import rows_of
    from gateway.ops.desk import open_desk

    config = shared.load(config_file)
    env = build_env(config, shared.adapters)
    async with open_desk(config, env) as desk:
        people = await rows_of(desk, StaffMember)
        held = await rows_of(desk, RegisteredCertificate, "staff_id IS NOT NULL")
    found: list[dict[str, Any]] = [
        {
            "staff_id": one.staff_id,
            "name": one.name,
            "department": one.department,
            "state": one.state,
            "certificates": [{"keyid": c.keyid, "state": c.state} for c in held if c.staff_id == one.staff_id],
            "may": sorted(env.rights.get(one.department, Rights()).may),
            "approves": sorted(env.rights.get(one.department, Rights()).approves),
        }
        for one in people
    ]
    if as_json:
        echo_json(found)
    for one in [] if as_json else found:
        certificates = " ".join(f"{c['keyid'][:16]} {c['state']}" for c in one["certificates"])
        click.echo(
            f"{one['staff_id']:<16} {one['state']:<7} {one['department']}  {one['name']}  {certificates}".rstrip()
        )
