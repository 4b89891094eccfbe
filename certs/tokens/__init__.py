"""USB keys (U盾) over PKCS#11: found, opened with a PIN, signed with, enrolled. Nothing is loaded before it is used."""
