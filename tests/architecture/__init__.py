"""Rules of the house that a machine can check: layers, purity, sizes, names, packaging."""
