"""Registering a station in book and files together: both, or neither."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from certs.certificates import Certificate
from certs.pilot import Authority
from gateway.config import Config
from gateway.core.items import Kept, Refusal
from gateway.ops.desk import Desk
from gateway.ops.enrol import Applicant, add_item, make_station_files, ms, terminal_text
from gateway.ops.folders import made_whole
from gateway.ops.shared import NotSo
from gateway.store.port import StoreError


def need(reply: Any) -> Kept:
    """A reply that must be Kept. Raises NotSo with the refusal's own words."""
    if isinstance(reply, Refusal):
        raise NotSo(f"refused ({reply.slug}): {reply.detail}")
    if not isinstance(reply, Kept):
        raise TypeError(f"unexpected reply {type(reply).__name__}")
    return reply


async def register(
    desk: Desk,
    config: Config,
    applicant: Applicant,
    issuing: Authority,
    *,
    services: list[str],
    folder: Path,
    now: datetime,
    trained_days: int,
    overdraft_limit_fen: int = 0,
    low_balance_fen: int = 0,
    by: str = "",
) -> None:
    """Make the shop's files in `folder`, which must not exist, and register the station.

    by: who, as `operating_user` says it.
    Files first: a refusal removes them again. Where the commit's answer is lost (StoreError in doubt) they stay.
    """
    certificate = make_folder(folder, config, applicant, issuing, now)
    item = add_item(
        applicant,
        certificate,
        services,
        issuer_keyid=issuing.certificate.keyid,
        trained_until_ms=ms(now + timedelta(days=trained_days)),
        overdraft_limit_fen=overdraft_limit_fen,
        low_balance_fen=low_balance_fen,
        by=by,
    )
    try:
        need(await desk.run(item))
    except StoreError as failed:
        if not failed.in_doubt:
            shutil.rmtree(folder)
        raise
    except NotSo:
        shutil.rmtree(folder)
        raise


def make_folder(folder: Path, config: Config, applicant: Applicant, issuing: Authority, now: datetime) -> Certificate:
    """The shop's folder, whole or not at all: key, password, certificates, terminal.toml."""
    with made_whole(folder) as made:
        certificate = make_station_files(made, applicant, issuing, now)
        (made / "root.cert.pem").write_bytes(config.keys.root_cert_file.read_bytes())
        # Every period: replies may still be signed under an older one.
        (made / "issuing.cert.pem").write_bytes(config.keys.issuing_cert_file.read_bytes())
        (made / "terminal.toml").write_text(terminal_text(config, applicant.terminal_id, trust=""), encoding="utf-8")
    return certificate
