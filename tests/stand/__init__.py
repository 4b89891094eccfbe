"""What the tests stand on: a real PostgreSQL, free ports, a TCP fault proxy, a guard against the outside network."""
