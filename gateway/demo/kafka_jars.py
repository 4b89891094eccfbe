"""Where Apache Kafka's own programs come from: jars fetched once by Maven into a cache folder, run by Java.

`python -m gateway.demo.kafka_jars` makes sure that they are there, and says where; as root it installs Java and Maven
by the system's packages where they are missing, and says so first. Nothing else in the product installs anything.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

VERSION = "4.3.0"
TOOLS: Mapping[str, str] = {"java": "default-jre-headless", "mvn": "maven"}
"""Programs that are needed, and the Debian packages that hold them."""
FETCH_S = 600
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>bianmin</groupId><artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies><dependency>
    <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
  </dependency></dependencies>
</project>
"""


class NoKafka(Exception):
    """There is no Apache Kafka here, and why."""


def cache() -> Path:
    """The folder that holds the jars of this version, whether or not they are there yet."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "bianmin-kafka" / VERSION


def find_jars() -> Path:
    """The folder of the jars, fetched where they are missing. Raises NoKafka. May take half a minute, once."""
    folder = cache()
    if shutil.which("java") is None:
        raise NoKafka("there is no `java` on this machine (17 or newer is needed): `make kafka` as root installs it")
    if not folder.is_dir():
        if shutil.which("mvn") is None:
            raise NoKafka("there is no `mvn` to fetch Apache Kafka with: `make kafka` as root installs it")
        _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    """All or nothing: the jars appear under their name when the last one is there. One at a time."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="fetching-") as work:
            (Path(work) / "pom.xml").write_text(_POM, encoding="utf-8")
            jars = Path(work) / "jars"
            goal = ["dependency:copy-dependencies", f"-DoutputDirectory={jars}", "-DincludeScope=runtime"]
            try:
                done = subprocess.run(  # noqa: S603 - a list, no shell
                    [shutil.which("mvn") or "mvn", "-B", "-q", "-C", "-f", f"{work}/pom.xml", *goal],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=FETCH_S,
                    check=False,
                )
            except subprocess.TimeoutExpired as late:
                raise NoKafka(f"Maven did not fetch Apache Kafka within {FETCH_S} s") from late
            if done.returncode:
                raise NoKafka(f"Maven could not fetch Apache Kafka: {(done.stdout + done.stderr).strip()[-500:]}")
            jars.rename(folder)


def install_tools() -> None:
    """Install what is missing of Java and Maven, as root on Debian. Raises NoKafka; says what it does."""
    packages = [package for program, package in TOOLS.items() if shutil.which(program) is None]
    if not packages:
        return
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise NoKafka(f"install {' and '.join(packages)} (root on a Debian system could do it from here)")
    sys.stdout.write(f"installing {' and '.join(packages)} by apt-get\n")
    sys.stdout.flush()
    for arguments in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(  # noqa: S603 - a list, no shell
            [apt, *arguments],
            stdin=subprocess.DEVNULL,
            check=False,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
        if done.returncode:
            raise NoKafka(f"apt-get {arguments[0]} ended with exit code {done.returncode}")


def main() -> int:
    """Make sure of it. Exit code 1 and one line where there is none."""
    try:
        install_tools()
        sys.stdout.write(f"Apache Kafka {VERSION} is in {find_jars()}\n")
    except NoKafka as why:
        sys.stderr.write(f"no Apache Kafka: {why}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
