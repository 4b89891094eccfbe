"""The gateway: ledger, payment flow, bus, store, terminal API, operations."""
