"""M11: replies that were told and not yet written are written before the book is let go."""

from unittest.mock import AsyncMock

from gateway.app import App


async def test_m11_what_was_told_is_kept_at_close() -> None:
    """M11: after the last request, and while the book is still there."""
    app, parts = object.__new__(App), AsyncMock()
    for name in ("public", "engine", "partner", "tasks", "kept", "admin", "readiness", "store"):
        setattr(app, f"_{name}", getattr(parts, name))
    await app._let_go()
    done = [name for name, _, _ in parts.mock_calls]
    assert done.index("public.stop") < done.index("kept.flush") < done.index("store.close")
