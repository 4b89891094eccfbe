"""The embedded engine: one file, one writer process, group commit (design s7)."""
