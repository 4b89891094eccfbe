"""Billers: one folder each, a shared transport and the conformance kit. Imports contracts and certs only."""
