"""The engine for several gateways: PostgreSQL through asyncpg, statements in bulk (design s7)."""
