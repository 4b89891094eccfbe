"""The composition root: everything is built here and passed down; nothing below opens anything by itself.

One App is one process: what its roles need of the public API, notices, relay, workers, resolver and sealer, and the
admin server. A front is a process beside one on SQLite that only verifies, signs and asks the same book.
"""

import secrets
import ssl
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path
from typing import Any

from certs.certificates import Certificate
from certs.core.chains import issuer_of
from certs.core.profile import normal_authority
from certs.keys import PemSigner, load_certificate, load_certificates, load_password
from contracts.biller import Adapter, Biller, PinsServer
from contracts.breaker import BreakerPolicy
from contracts.clock import Clock
from gateway.bus.port import Bus
from gateway.buses import build_bus
from gateway.clock import BookClock
from gateway.config import Config, ConfigError, SqliteStore
from gateway.core.env import Env
from gateway.core.items import RegisterCertificate
from gateway.core.restored import PeekRestoring
from gateway.flow.closed_board import Board, BookBoard, ClosedBoard
from gateway.flow.crash_points import CrashPoints
from gateway.flow.engine import FlowEngine
from gateway.flow.partner_servers import PartnerServers
from gateway.flow.parts import Parts
from gateway.flow.pointed_store import PointedStore
from gateway.flow.task_group import TaskGroup
from gateway.flow.waiters import Waiters
from gateway.http.admin import AdminServer
from gateway.http.certificates import served_pem
from gateway.http.keeping import KeptReplies
from gateway.http.partner import PartnerServer
from gateway.http.partner_tls import PartnerDoor
from gateway.http.server import TerminalServer
from gateway.http.services import Limits, Services
from gateway.observe import Observer
from gateway.readiness import Readiness
from gateway.roles import EVERY, Role
from gateway.store.port import Store, StoreRefused
from gateway.watch import Watch, Watched


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """The gateway's own keys, and whom it trusts. issuings: CAs of every period that still verifies, newest first."""

    reply: PemSigner
    archive: PemSigner | None
    issuings: tuple[Certificate, ...]
    root: Certificate


def load_signing(config: Config) -> Signing:
    """Read keys and certificates. Raises certs.keys.KeyFileError naming file and expected form."""
    keys = config.keys
    archive = None
    if keys.archive_cert_file and keys.archive_key_file and keys.archive_key_password_file:
        archive = PemSigner.load(keys.archive_cert_file, keys.archive_key_file, keys.archive_key_password_file)
    return Signing(
        reply=PemSigner.load(keys.reply_cert_file, keys.reply_key_file, keys.reply_key_password_file),
        archive=archive,
        issuings=load_certificates(keys.issuing_cert_file),
        root=load_certificate(keys.root_cert_file),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where an opened App listens."""

    public: int | None
    partner: int | None
    admin: int | None


class App:
    """One process. flow: whether it has roles of its own (else it is one more front of the same book).

    board: on SQLite, where the process that calls tells its fronts which billers are closed.
    """

    def __init__(
        self,
        config: Config,
        adapters: Mapping[str, Adapter],
        env: Env,
        store: Store,
        clock: Clock,
        *,
        signing: Signing,
        worker: str,
        board: ClosedBoard,
        flow: bool,
        roles: Collection[Role] = EVERY,
        crash_at: str | None = None,
    ) -> None:
        crash = CrashPoints(crash_at)
        if crash_at:
            store = PointedStore(store, crash)
        clock = self._clock = BookClock(clock)
        self._config, self._store, self._signing = config, store, signing
        self._alone, self._api = isinstance(config.store, SqliteStore), Role.API in roles
        self._observer = Observer(config.log.level)
        self._tasks = TaskGroup(self._observer.chore_failed)
        parts = Parts(
            store=store,
            env=env,
            clock=clock,
            entropy=lambda: secrets.randbits(64),
            crash=crash,
            tasks=self._tasks,
            note=self._observer,
            worker=worker,
        )
        self._engine: FlowEngine | None = None
        self._servers: PartnerServers | None = None
        self._bus: Bus | None = None
        self._board: Board = board if self._alone else BookBoard(store, clock, self._observer.chore_failed)
        if flow:
            billers: dict[str, Biller] = {
                name: adapters[name].build(settings, clock) for name, settings in config.billers.items()
            }
            self._servers = PartnerServers(store, self._pinning(billers))
            bus = self._bus = build_bus(config, store, clock, self._observer.bus, worker, tasks=self._tasks)
            self._engine = FlowEngine(
                parts,
                bus,
                billers,
                roles=roles,
                alone=self._alone,
                policy=BreakerPolicy(),
                board=board if self._alone else None,
                archive=signing.archive,
            )
        self._waiters = self._engine.waiters if self._engine else Waiters(env.topic_prefix)
        self._draining = False
        self._readiness = Readiness(store, config.store.queue_max, lambda: self._draining)
        self._kept = KeptReplies(store, env, clock, parts.entropy, self._observer.chore_failed)
        services = self._services(adapters, env, store, clock)
        self._public = TerminalServer(services) if self._api else None
        self._partner_tls = self._tls()
        self._door = self._make_door(store, clock)
        self._partner = PartnerServer(services, self._door) if self._api and flow else None
        self._admin = AdminServer(services) if flow else None

    def _pinning(self, billers: Mapping[str, Biller]) -> dict[str, PinsServer]:
        found: dict[str, PinsServer] = {}
        for name in self._config.http.partner_server_certs:
            biller: object = billers.get(name)
            if not isinstance(biller, PinsServer):
                form = f"names of [billers] whose adapter can be held to certificates, not {name}"
                raise ConfigError(self._config.file, "http.partner_server_certs", form)
            found[name] = biller
        return found

    def _make_door(self, store: Store, clock: Clock) -> PartnerDoor | None:
        billers, context = self._config.http.partner_client_certs, self._partner_tls
        if unknown := set(billers) - set(self._config.billers):
            # A slip here would leave a door open that was meant to be shut.
            form = f"names of [billers], not {min(unknown)}"
            raise ConfigError(self._config.file, "http.partner_client_certs", form)
        if not billers or context is None:
            return None
        return PartnerDoor(store, clock, context, billers, self._observer.chore_failed)

    def _services(self, adapters: Mapping[str, Adapter], env: Env, store: Store, clock: Clock) -> Services:
        engine, http = self._engine, self._config.http
        return Services(
            store=store,
            env=env,
            clock=clock,
            entropy=lambda: secrets.randbits(64),
            reply_signer=self._signing.reply,
            authorities=self._authorities(),
            issuings=self._signing.issuings,
            root=self._signing.root,
            shop_text=lambda biller, service, code: adapters[biller].shop_text(service, code),
            undo_text=lambda biller, service, code: adapters[biller].undo_text(service, code),
            waiters=self._waiters,
            closed_for_s=engine.closed_for_s if engine and engine.calls else self._board.closed_for_s,
            ready=self._readiness.reasons,
            bus=lambda: "up" if self._bus is None else self._bus.view().told(),
            render_metrics=lambda: self._observer.render(engine, store, self._bus),
            certificate_pem=served_pem(store, self._signing.issuings),
            accepted=self._observer.accepted,
            replied=self._kept.keep,
            notices=engine.notices if engine else {},
            limits=replace(
                Limits(),
                in_flight=http.in_flight_max,
                body_bytes=http.body_max_bytes,
                head_s=http.request_timeout_ms / 1000,
                body_s=http.request_timeout_ms / 1000,
                keepalive_s=http.keepalive_ms / 1000,
                station_rate=http.station_per_s,
                station_burst=http.station_burst,
            ),
            scheme=self._scheme,
        )

    @property
    def _scheme(self) -> str:
        http = self._config.http
        return "https" if http.tls or http.plain_http else "http"

    def _authorities(self) -> frozenset[str]:
        found = {normal_authority(text, self._scheme) for text in self._config.http.authorities}
        if None in found:
            raise ConfigError(self._config.file, "http.authorities", "host[:port] in lower case")
        return frozenset(text for text in found if text is not None)

    async def open(self, *, reuse_port: bool = False) -> Ports:
        """Open the book, sign in to the billers, listen, then begin to call. What fails leaves nothing open.

        What was in flight at a crash is asked about, not called.
        """
        try:
            await self._store.open()
            await refuse_unfinished_restore(self._store)
            watch = self._watch()
            await watch.compare_clocks()
            await self._register_own_certificates()
            if self._servers is not None:
                await self._servers.look()
                self._tasks.for_ever("partners' servers", self._servers.turn, self._clock)
            if self._engine is not None:
                await self._engine.sign_in()
            else:
                self._store.listen(self._waiters.on_rows)
            ports = await self._listen(reuse_port=reuse_port)
            if self._public is not None:
                self._tasks.for_ever("replies", self._kept.turn, self._clock)
            if isinstance(self._board, BookBoard) and self._api and not (self._engine and self._engine.calls):
                await self._board.look()
                self._tasks.for_ever("board", self._board.turn, self._clock)
            if self._engine is not None:
                await self._engine.start()
                self._tasks.for_ever("watch", watch.turn, self._clock)
        except BaseException:  # boundary: whatever it was, it is raised again
            await self._let_go()
            raise
        self._observer.serving(ports)
        return ports

    def _watch(self) -> Watch:
        signing, store = self._signing, self._config.store
        # An older issuing CA ends by design.
        newest = max(signing.issuings, key=lambda one: one.not_after)
        ours = {"reply": signing.reply.certificate, "issuing": newest, "root": signing.root}
        if signing.archive is not None:
            ours["archive"] = signing.archive.certificate
        watched = Watched(
            store=self._store,
            clock=self._clock,
            certificates={role: certificate.not_after for role, certificate in ours.items()},
            issuers={one.keyid: one.not_after for one in signing.issuings},
            folder=store.path.parent if isinstance(store, SqliteStore) else Path.cwd(),
            raised=self._observer.alarms_risen,
            failed=self._observer.chore_failed,
        )
        return Watch(self._observer.metrics, watched)

    async def _listen(self, *, reuse_port: bool) -> Ports:
        config, tls = self._config.http, self._tls()
        public = partner = admin = None
        if self._public is not None:
            public = await self._public.start(config.bind_host, config.port, tls=tls, reuse_port=reuse_port)
        if self._partner is not None:
            # Fronts on SQLite share the public port alone.
            shared = reuse_port and not self._alone
            if self._door is not None:
                await self._door.look()
                self._tasks.start("partners", self._door.run())
            partner = await self._partner.start(
                config.bind_host, config.partner_port, tls=self._partner_tls, reuse_port=shared
            )
        if self._admin is not None:
            admin = await self._admin.start(config.bind_admin_host, config.admin_port)
        return Ports(public=public, partner=partner, admin=admin)

    def sound(self) -> bool:
        """Whether everything that must go on for ever does, with the book as it was (Store.lost).

        Where not, that is told; a new process is needed.
        """
        lost = [*self._tasks.lost(), *(["book"] if self._store.lost() else [])]
        for name in lost:
            self._observer.work_lost(name)
        return not lost

    async def close(self) -> None:
        """Drain: no new request, running calls end and are saved, the book is let go."""
        self._draining = True
        self._observer.draining()
        await self._let_go()

    async def _let_go(self) -> None:
        if self._public is not None:
            await self._public.stop()
        if self._engine is not None:
            await self._engine.close()
        if self._partner is not None:
            await self._partner.stop()
        await self._tasks.close()
        await self._kept.flush()
        if self._admin is not None:
            await self._admin.stop()
        await self._readiness.close()
        await self._store.close()

    async def _register_own_certificates(self) -> None:
        for signer, role in ((self._signing.reply, "reply"), (self._signing.archive, "archive")):
            if signer is not None:
                await self._store.run(register_item(signer.certificate, role, self._signing.issuings))

    def _tls(self) -> ssl.SSLContext | None:
        http = self._config.http
        if http.tls_cert_file is None or http.tls_key_file is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        password = load_password(http.tls_key_password_file) if http.tls_key_password_file else None
        try:
            context.load_cert_chain(http.tls_cert_file, http.tls_key_file, password)
        except (OSError, ssl.SSLError) as wrong:
            raise ConfigError(self._config.file, "http.tls_key_file", f"a PEM pair: {wrong}") from wrong
        return context


def register_item(certificate: Certificate, role: str, issuings: Sequence[Certificate]) -> Any:
    """What makes a certificate known to the book."""
    issuer = issuer_of(certificate, issuings)
    return RegisterCertificate(
        keyid=certificate.keyid,
        der=certificate.der,
        role=role,
        public_key_sha256=certificate.public_key_sha256,
        not_before=_ms(certificate.not_before),
        not_after=_ms(certificate.not_after),
        serial=f"{certificate.serial:x}",
        issuer_keyid="" if issuer is None else issuer.keyid,
    )


def _ms(moment: Any) -> int:
    return int(moment.astimezone(UTC).timestamp() * 1000)


async def refuse_unfinished_restore(store: Store) -> None:
    """Raises StoreRefused where `bianmin db restored` has begun and not ended: what was sent may look unsent."""
    if (await store.look(PeekRestoring())).count:
        raise StoreRefused("a restored book is not yet made safe: run `bianmin db restored` to its end")
