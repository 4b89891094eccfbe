"""What stops a terminal before or beside the gateway: configuration, keys, journal. The user's to mend, never a bug."""

from pathlib import Path


class TerminalFault(Exception):
    """A clear line for the shop (Simplified Chinese) and a hint for whoever set the terminal up (English)."""

    def __init__(self, shop_text: str, hint: str) -> None:
        super().__init__(f"{shop_text} ({hint})")
        self.shop_text = shop_text
        self.hint = hint


class ConfigFault(TerminalFault):
    """The configuration is not usable: file, key ("" for the whole file), expected form."""

    def __init__(self, file: Path | None, key: str, expected: str) -> None:
        place = ": ".join(part for part in (str(file or ""), key) if part)
        super().__init__(f"终端配置有误：{place or '配置'}", f"{place or 'configuration'}: expected {expected}")
        self.file, self.key, self.expected = file, key, expected


class JournalFault(TerminalFault):
    """The journal cannot be trusted or written, so nothing may be sent."""


class JournalBusy(JournalFault):
    """Another process holds the journal."""
