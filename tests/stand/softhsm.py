"""SoftHSM tokens in a temporary folder, and a USB key before them that can be pulled out, locked and broken.

`python -m tests.stand.softhsm` installs SoftHSM where apt-get is there and one is root. Tests skip by name without it.
"""

import os
import re
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "softhsm2"
PIN = "246810"
SO_PIN = "13579135"
_SOURCE = Path(__file__).with_name("usb_key.c")
_PLACES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/*/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)


def softhsm_module() -> Path | None:
    """SoftHSM's PKCS#11 module, where it is installed with its tool."""
    if shutil.which("softhsm2-util") is None:
        return None
    root = Path("/")
    return next((found for place in _PLACES for found in sorted(root.glob(place[1:])) if found.is_file()), None)


def compiler() -> str | None:
    """A C compiler."""
    return shutil.which("gcc") or shutil.which("cc")


@dataclass(frozen=True)
class SoftToken:
    """One token. serial: as PKCS#11 tells it. folder: where SoftHSM keeps it."""

    label: str
    serial: str
    folder: Path
    pin: str = PIN


class SoftHsm:
    """SoftHSM with tokens of its own below `folder`. It counts for this process and its children once entered."""

    def __init__(self, folder: Path) -> None:
        module = softhsm_module()
        assert module is not None, "SoftHSM is not installed"
        self.module, self.folder = module, folder
        self._tokens = folder / "tokens"
        self._tokens.mkdir(parents=True)
        self.conf = folder / "softhsm2.conf"
        self.conf.write_text(
            f"directories.tokendir = {self._tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
            "slots.removable = true\n"
        )

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to see these tokens."""
        return {"SOFTHSM2_CONF": str(self.conf)}

    def make_token(self, label: str, pin: str = PIN) -> SoftToken:
        """A fresh token with this label."""
        before = set(self._tokens.iterdir())
        self._util("--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", SO_PIN)
        (made,) = set(self._tokens.iterdir()) - before
        # SoftHSM shows the last half of the token's UUID as its serial number.
        return SoftToken(label, "".join(made.name.split("-")[-2:]), made, pin)

    def import_key(self, token: SoftToken, key_pem: bytes, *, key_id: str, label: str = "station") -> None:
        """Put a private key (unencrypted PKCS#8 PEM) into a token, its public half beside it."""
        file = self.folder / f"{secrets.token_hex(4)}.pem"
        file.write_bytes(key_pem)
        try:
            self._util(
                "--import", str(file), "--token", token.label, "--label", label, "--id", key_id, "--pin", token.pin
            )
        finally:
            file.unlink()

    def unplug(self, token: SoftToken) -> None:
        """Take the token away."""
        token.folder.rename(self.folder / f"unplugged-{token.serial}")

    def plug(self, token: SoftToken) -> None:
        """Bring it back."""
        (self.folder / f"unplugged-{token.serial}").rename(token.folder)

    def _util(self, *words: str) -> None:
        done = subprocess.run(
            ["softhsm2-util", *words],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, re.sub(r"\d{6,}", "…", done.stdout + done.stderr)


def build_usb_key(folder: Path) -> Path:
    """Compile tests/stand/usb_key.c over the installed SoftHSM."""
    made = folder / "usb_key.so"
    command = [compiler() or "cc", "-std=gnu11", "-shared", "-fPIC", f'-DSOFTHSM="{softhsm_module()}"']
    subprocess.run([*command, "-o", str(made), str(_SOURCE), "-ldl"], check=True)
    return made


class UsbKey:
    """The module of tests/stand/usb_key.c, compiled before: a SoftHSM to which things happen by files in `folder`."""

    def __init__(self, folder: Path, module: Path) -> None:
        self.folder, self.module = folder, module
        (folder / "script").mkdir(parents=True)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to have these things happen."""
        return {"FAKE_TOKEN_FOLDER": str(self.folder)}

    def script(self, call: str, rv: int, *, times: int = -1, sleep_ms: int = 0) -> None:
        """Let a call answer rv (0: as always) so many times, after a pause."""
        (self.folder / "script" / call).write_text(f"{rv} {times} {sleep_ms}\n")

    def mend(self, call: str) -> None:
        """Let a call work again."""
        (self.folder / "script" / call).unlink()

    def set(self, name: str, value: int = 1) -> None:
        """Write one of the files that usb_key.c names."""
        (self.folder / name).write_text(f"{value}\n")

    def pull(self) -> None:
        """Take the key out; sessions die."""
        self.set("absent")

    def plug(self) -> None:
        """Put it back; dead sessions stay dead."""
        (self.folder / "absent").unlink()

    def calls(self, name: str) -> int:
        """How often a call was made so far."""
        file = self.folder / "calls"
        return file.read_text().split().count(name) if file.exists() else 0

    @property
    def tries_left(self) -> int:
        """How many wrong PINs it still bears."""
        return int((self.folder / "tries").read_text())


def main() -> int:
    """Install SoftHSM where it is missing and that is possible."""
    if softhsm_module() is not None:
        return 0
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(f"{PACKAGE} is not installed: tests of USB keys are skipped")
        return 0
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", PACKAGE]):
        done = subprocess.run(["apt-get", *words], env=environment, check=False, stdout=sys.stderr)
        if done.returncode:
            print(f"{PACKAGE} could not be installed: tests of USB keys are skipped")
            break
    return 0


if __name__ == "__main__":
    sys.exit(main())
