"""Registering a station in book and files together: both, or neither."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from certs.certificates import Certificate
from certs.pilot import Authority
from contracts.signer import Signer
from gateway.config import Config
from gateway.core.items import Kept, Refusal
from gateway.core.items_deeds import Acted
from gateway.ops.certs.acting import do_signed, field_text, make_deed
from gateway.ops.desk import Desk
from gateway.ops.enrol import Applicant, make_station_files, terminal_text
from gateway.ops.folders import kept_unless_refused, made_whole
from gateway.ops.shared import NotSo, Shared


def need(reply: Any) -> Kept:
    """A reply that must be Kept. Raises NotSo with the refusal's own words."""
    if isinstance(reply, Refusal):
        raise NotSo(f"refused ({reply.slug}): {reply.detail}{field_text(reply)}")
    if not isinstance(reply, Kept):
        raise TypeError(f"unexpected reply {type(reply).__name__}")
    return reply


async def register(
    desk: Desk,
    config: Config,
    applicant: Applicant,
    issuing: Authority,
    *,
    signer: Signer,
    fields: Mapping[str, str],
    who: Mapping[str, Any],
    shared: Shared,
    folder: Path,
) -> Acted:
    """Make the shop's files in `folder`, which must not exist, and prepare the station with them.

    fields: of the deed besides what the applicant says. Files first: a refusal removes them again. Where the commit's
    answer is lost (StoreError in doubt) they stay.
    """
    certificate = make_folder(folder, config, applicant, issuing, shared.clock.now())
    made = b64encode(certificate.der).decode()
    deed = make_deed(
        shared, who, "station.add", applicant.institution_code, **place_of(applicant), **fields, certificate=made
    )
    with kept_unless_refused(folder):
        return await do_signed(desk, signer, deed)


def place_of(applicant: Applicant) -> dict[str, str]:
    """The applicant as fields of a deed."""
    return {
        "name": applicant.name,
        "terminal_id": applicant.terminal_id,
        "operator_id": applicant.operator_id,
        "operator_name": applicant.operator_name,
    }


def make_folder(folder: Path, config: Config, applicant: Applicant, issuing: Authority, now: datetime) -> Certificate:
    """The shop's folder, whole or not at all: key, password, certificates, terminal.toml."""
    with made_whole(folder) as made:
        certificate = make_station_files(made, applicant, issuing, now)
        (made / "root.cert.pem").write_bytes(config.keys.root_cert_file.read_bytes())
        # Every period: replies may still be signed under an older one.
        (made / "issuing.cert.pem").write_bytes(config.keys.issuing_cert_file.read_bytes())
        (made / "terminal.toml").write_text(terminal_text(config, applicant.terminal_id, trust=""), encoding="utf-8")
    return certificate
