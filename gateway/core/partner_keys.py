"""By which keys a partner's signature or connection may count now: pinned, in their time, and on a fresh list."""

from collections.abc import Sequence

import msgspec

from certs.core.certificates import CertificateError, parse_certificate
from certs.core.revocation_lists import names_issuer, read_crl
from gateway.core.book import Book
from gateway.core.env import Env
from gateway.core.items import Item, Reply
from gateway.core.revocations import newest_list
from gateway.core.rows import Alarm, PartnerCertificate, RevocationList
from gateway.core.steps import Claim, Now, Read, Work

STALE = "partner.crl.stale"
"""Kind of the alarm: this partner's signatures are refused until its CA's next list is taken in."""


class FindPartnerKeys(Item, frozen=True, kw_only=True):
    """The certificates of a biller that count now for one use: sign, tls. keyid: of one alone, "" for all."""

    biller: str
    use: str
    keyid: str = ""


class PinnedCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """One certificate that counts now."""

    keyid: str
    der: bytes
    public_key_sha256: str


class PartnerKeys(Reply, frozen=True, kw_only=True):
    """keys: that count now. refused: why the others do not, slug by keyid."""

    keys: list[PinnedCertificate]
    refused: dict[str, str]


def find_partner_keys(items: Sequence[FindPartnerKeys], env: Env) -> Work[list[Reply]]:
    """Replies: PartnerKeys. Slugs as certs.certificates.judge's, and `certificate-revoked` also for one whose CA has
    no list in force (fail closed): that raises an alarm, once for each list that ran out."""
    now: int = yield Now()
    billers = sorted({(item.biller,) for item in items})
    rows: list[PartnerCertificate] = yield Read("partner_certificates_of", billers)
    lists: dict[str, RevocationList | None] = {}
    for row in rows:
        if row.use == "ca" and row.state == "ACTIVE":
            lists[row.keyid] = yield from newest_list(row.keyid)
    alarms: dict[str, Alarm] = {}
    replies: list[Reply] = []
    for item in items:
        own = [one for one in rows if one.biller == item.biller]
        authorities = [one for one in own if one.use == "ca" and one.state == "ACTIVE"]
        keys: list[PinnedCertificate] = []
        refused: dict[str, str] = {}
        for row in own:
            if row.use != item.use or item.keyid not in ("", row.keyid):
                continue
            slug = _judge(row, authorities, lists, now=now, alarms=alarms)
            if slug is None:
                keys.append(PinnedCertificate(keyid=row.keyid, der=row.der, public_key_sha256=row.public_key_sha256))
            else:
                refused[row.keyid] = slug
        replies.append(PartnerKeys(keys=keys, refused=refused))
    if alarms:
        yield Claim([alarms[name] for name in sorted(alarms)])
    yield Book().write()
    return replies


def _judge(
    row: PartnerCertificate,
    authorities: Sequence[PartnerCertificate],
    lists: dict[str, RevocationList | None],
    *,
    now: int,
    alarms: dict[str, Alarm],
) -> str | None:
    if row.state != "ACTIVE":
        return "certificate-revoked"
    if not row.not_before <= now < row.not_after:
        return "certificate-expired"
    try:
        certificate = parse_certificate(row.der)
        named = [one for one in authorities if names_issuer(certificate, parse_certificate(one.der))]
    except CertificateError:
        return "certificate-unknown"
    for authority in named:
        newest = lists[authority.keyid]
        if newest is None or not newest.this_update <= now < newest.next_update:
            number = newest.number if newest is not None else 0
            alarm_id = f"crl-{authority.keyid[:16]}-{number}"
            alarms[alarm_id] = Alarm(
                alarm_id=alarm_id,
                kind=STALE,
                biller=row.biller,
                gateway_serial=None,
                detail=f"no list in force of its CA {authority.keyid[:16]}, the newest is {number}",
                raised_at=now,
            )
            return "certificate-revoked"
        if certificate.serial in read_crl(newest.der).revoked:
            return "certificate-revoked"
    return None
