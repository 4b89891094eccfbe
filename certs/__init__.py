"""Keys, certificates and signed messages: who may speak, and the proof that they did (design s6)."""
