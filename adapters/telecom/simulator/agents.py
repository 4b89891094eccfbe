"""The test platform's agents and their keys (telecom interface 3.4 s12). Test keys: published, and worth nothing."""

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.telecom.signing import SignType


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent. keys: keyNo to secret, all of them valid; sign_type is fixed per agent (s2)."""

    agent_no: str
    sign_type: SignType
    keys: Mapping[str, str]
    suspended: bool = False

    @property
    def lowest_key(self) -> str:
        """The key that signs notices, and replies to a request whose own key is not valid (s2, s6)."""
        return min(self.keys)


FILE_AGENT = "8801000123"
"""Notices and day files are made for this agent only."""

AGENTS: Mapping[str, Agent] = {
    agent.agent_no: agent
    for agent in (
        Agent(
            FILE_AGENT,
            SignType.HMAC,
            {"01": "Tel-Test-Secret-01-0123456789abcdef", "02": "Tel-Test-Secret-02-fedcba9876543210"},
        ),
        Agent("8801000124", SignType.MD5, {"01": "TELLEGACY0123456789ABCDEF0123456"}),
        Agent("8801000125", SignType.HMAC, {"01": "Tel-Test-Suspended-0123456789abcd"}, suspended=True),
    )
}
"""By agentNo."""
