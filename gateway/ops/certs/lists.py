"""Making our revocation lists from the book, and keeping them in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from certs.authority.issuing import Authority
from certs.authority.lists import make_crl
from certs.core.revocation_lists import Reason, RevocationList, Revoked, read_crl
from gateway.core.revocations import KeepList, ListView, PeekList
from gateway.ops.desk import Desk
from gateway.ops.enrol import ms
from gateway.ops.register import need
from gateway.store.port import Snapshot

_REVOKED = (
    "SELECT serial, state_at, revoked_for FROM certificates WHERE issuer_keyid = :issuer AND state = 'REVOKED'"
    " AND serial <> '' ORDER BY serial"
)


@dataclass(frozen=True, slots=True)
class Published:
    """A list that is now in the book. issuer_keyid: of the CA's certificate."""

    issuer_keyid: str
    found: RevocationList


async def publish(desk: Desk, authority: Authority, now: datetime) -> Published:
    """Sign the next list of an authority: everything of it that is revoked by the book; and keep it there.

    Its number is one more than the newest's. Raises NotSo where somebody else published or revoked meanwhile (run it
    again), IssueRefused, and what a token raises.
    """
    keyid = authority.certificate.keyid
    revoked = await desk.snapshot(lambda snapshot: _read(snapshot, keyid, now))
    view = await desk.look(PeekList(issuer_keyid=keyid))
    assert isinstance(view, ListView)
    after = view.newest.number if view.newest else 0
    made = read_crl(make_crl(authority, number=after + 1, after=after, now=now, revoked=revoked))
    item = KeepList(
        issuer_keyid=keyid,
        number=made.number,
        der=made.der,
        this_update=ms(made.this_update),
        next_update=ms(made.next_update),
        serials=[f"{one.serial:x}" for one in revoked],
    )
    need(await desk.run(item))
    return Published(keyid, made)


async def _read(snapshot: Snapshot, keyid: str, now: datetime) -> Sequence[Revoked]:
    found: list[Revoked] = []
    async for part in snapshot.rows(_REVOKED, {"issuer": keyid}):
        for serial, at, reason in part:
            moment = min(datetime.fromtimestamp(at / 1000, UTC), now)  # the book's clock may be ahead of ours
            found.append(Revoked(serial=int(serial, 16), at=moment, reason=Reason(reason or Reason.UNSPECIFIED)))
    return found
