"""The book: one SQL schema, two engines, one suite of tests on both (design s7)."""
