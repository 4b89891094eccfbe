"""What a new installation says of the billers it can be tried with: their published test platforms."""

from collections.abc import Mapping

from gateway.init.text import Value

# Telecom interface 3.4 s12: the test platform's own agent and key, printed in the partner's document.
TELECOM_TEST_SECRET = "Tel-Test-Secret-01-0123456789abcdef"  # noqa: S105 - public, of the test platform

# TV interface 1.2 s10: the test platform's own client.
TV_TEST_SECRET = "Tv%Test:Secret+01"  # noqa: S105 - public, of the test platform


def telecom(base_url: str) -> tuple[Mapping[str, Value], Mapping[str, str]]:
    """The table `billers.telecom`, and the secret files it names (path in the installation → content)."""
    table: dict[str, Value] = {
        "base_url": base_url,
        "agent_no": "8801000123",
        "key_no": "01",
        "sign_key_file": "secrets/telecom.key",
    }
    return table, {"secrets/telecom.key": TELECOM_TEST_SECRET}


def tv(base_url: str) -> tuple[Mapping[str, Value], Mapping[str, str]]:
    """As telecom(), for the table `billers.tv`."""
    table: dict[str, Value] = {
        "base_url": base_url,
        "client_id": "bm-gateway-test",
        "client_secret_file": "secrets/tv.key",
    }
    return table, {"secrets/tv.key": TV_TEST_SECRET}
