"""The loop of the writer process: frames in, one commit for whatever has gathered, frames out."""

import logging
import os
import selectors
import socket
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.store.port import UnitFailed
from gateway.store.sqlite.checkpoint import Checkpointer
from gateway.store.sqlite.engine import SqliteEngine
from gateway.store.sqlite.frames import ITEMS_MAX_BYTES, FrameError, Frames, Wire

RECEIVE_BYTES = 1024 * 1024
UNSENT_MAX_BYTES = 256 * 1024 * 1024
PARENT_CHECK_S = 1
GATHER_AHEAD = 8
_log = logging.getLogger("bianmin.store")


class Peer:
    """One connected process."""

    __slots__ = ("frames", "socket", "unsent")

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.frames = Frames(ITEMS_MAX_BYTES)
        self.unsent = bytearray()


class Writer:
    """Serves one listening socket with one engine until told to stop or orphaned; then finishes what it was given.

    control: the reading end of a pipe; one byte, or its end, asks to stop.
    """

    def __init__(
        self, engine: SqliteEngine, wire: Wire, listener: socket.socket, *, control: int, parent: int, batch_max: int
    ) -> None:
        self._engine = engine
        self._wire = wire
        self._listener = listener
        self._control = control
        self._parent = parent
        self._batch_max = batch_max
        self._checkpointer = Checkpointer(engine.path)
        self._selector = selectors.DefaultSelector()
        self._peers: set[Peer] = set()
        self._pending: deque[tuple[Peer, int, Any]] = deque()
        self._stopping = False

    def serve(self) -> None:
        """Run until the end."""
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._selector.register(self._control, selectors.EVENT_READ, None)
        self._checkpointer.start()
        try:
            while not self._ended():
                if len(self._pending) < GATHER_AHEAD * self._batch_max:
                    self._receive()
                if self._pending:
                    self._turn()
            self._flush()
        finally:
            self._checkpointer.stop()
            for peer in tuple(self._peers):
                self._drop(peer)
            self._selector.close()

    def _ended(self) -> bool:
        if self._engine.broken:
            return True
        if os.getppid() != self._parent:
            self._stopping = True
        return self._stopping and not self._pending and not self._receive()

    def _receive(self) -> int:
        """Take what has come, waiting for it only where there is nothing else to do; how many items came."""
        before = len(self._pending)
        wait = 0 if self._pending or self._stopping else PARENT_CHECK_S
        for key, events in self._selector.select(wait):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj == self._control:
                self._stopping = True
                self._selector.unregister(self._control)
            else:
                peer: Peer = key.data
                if events & selectors.EVENT_WRITE:
                    self._send(peer)
                if events & selectors.EVENT_READ and peer in self._peers:
                    self._read(peer)
        return len(self._pending) - before

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        connection.setblocking(False)
        peer = Peer(connection)
        self._peers.add(peer)
        self._selector.register(connection, selectors.EVENT_READ, peer)

    def _read(self, peer: Peer) -> None:
        try:
            data = peer.socket.recv(RECEIVE_BYTES)
            for frame in peer.frames.feed(data):
                self._pending.extend((peer, number, item) for number, item in self._wire.decode_items(frame))
        except BlockingIOError:
            return
        except FrameError as error:
            _log.error("frame.refused", extra={"cause": str(error)})
            data = b""
        except OSError:
            data = b""
        if not data:
            self._drop(peer)

    def _turn(self) -> None:
        """One commit and its answers."""
        count = min(len(self._pending), self._batch_max)
        taken = [self._pending.popleft() for _ in range(count)]
        batch = self._engine.execute([item for _, _, item in taken])
        self._checkpointer.committed()
        answers: dict[Peer, list[tuple[int, Any]]] = {peer: [] for peer in self._peers} if batch.outbox else {}
        for (peer, number, _), reply in zip(taken, batch.replies, strict=True):
            answers.setdefault(peer, []).append((number, reply))
        outbox = self._wire.encode_outbox(batch.outbox)
        for peer, told in answers.items():
            if peer in self._peers:
                peer.unsent += self._encode(told, outbox)
                self._send(peer)

    def _encode(self, answers: Sequence[tuple[int, Any]], outbox: msgspec.Raw) -> bytes:
        try:
            return self._wire.encode_answers(answers, outbox)
        except (TypeError, ValueError, OverflowError) as error:
            if len(answers) == 1:
                # The commit stands; only what it said cannot be told.
                lost = UnitFailed(f"a reply that cannot be sent: {error}", in_doubt=True)
                return self._wire.encode_answers([(answers[0][0], lost)], outbox)
        none = self._wire.encode_outbox([])
        apart = [self._encode([answer], outbox if at == 0 else none) for at, answer in enumerate(answers)]
        return b"".join(apart)

    def _send(self, peer: Peer) -> None:
        try:
            while peer.unsent:
                del peer.unsent[: peer.socket.send(peer.unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(peer)
            return
        if len(peer.unsent) > UNSENT_MAX_BYTES:
            _log.error("peer.dropped", extra={"cause": "it does not read its answers"})
            self._drop(peer)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if peer.unsent else 0)
        self._selector.modify(peer.socket, events, peer)

    def _flush(self) -> None:
        """Give the last answers to whoever still reads."""
        for peer in tuple(self._peers):
            peer.socket.settimeout(PARENT_CHECK_S)
            try:
                peer.socket.sendall(peer.unsent)
            except OSError:
                self._drop(peer)

    def _drop(self, peer: Peer) -> None:
        self._peers.discard(peer)
        self._selector.unregister(peer.socket)
        peer.socket.close()
