"""A standalone Milvus server in a process of its own, to be killed and started again.

    python -m tests.stress.milvus_server     prints the address of one, which runs until Ctrl+C or SIGTERM

The distribution `milvus` is its binary, packed: etcd is inside, its data are in a folder. It is no dependency: the
stress run gets it into a temporary folder (58 MB; the last release is of January 2024).
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from types import TracebackType

VERSION = "2.3.5"
STARTS_WITHIN = 240.0  # seconds
PORTS = range(20_000, 32_000)  # below those that the system gives to clients: nothing else takes one over a restart
# Unpacks the binary and writes the configuration, with these ports.
PREPARE = """
import json, sys, milvus
folder, ports = sys.argv[1], json.loads(sys.argv[2])
config = milvus.MilvusServerConfig(data_dir=folder)
names = [name for name in config.configurable_items if name.endswith("_port")]
config.configs.update({name: ports.pop() for name in names})
config.resolve()
milvus._initialize_data_files(folder)
print(json.dumps({name: config.get(name) for name in names}))
"""
ETCD = """name: default
listen-client-urls: http://127.0.0.1:{0}
advertise-client-urls: http://127.0.0.1:{0}
listen-peer-urls: http://127.0.0.1:{1}
initial-advertise-peer-urls: http://127.0.0.1:{1}
initial-cluster: default=http://127.0.0.1:{1}
"""


class NoServer(Exception):
    """There is none to be had, or it does not start; the text says why."""


def package(folder: Path) -> Path:
    """Where the distribution `milvus` is, once it is installed there. Raises NoServer."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"]
    checked([*command, "--target", str(folder), f"milvus=={VERSION}"], f"pip cannot get milvus=={VERSION}")
    return folder


def checked(command: list[str], what: str, **environment: str) -> str:
    """What a command prints. Raises NoServer with `what` and the last line of its errors."""
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoServer(f"{what}: {[f'exit status {done.returncode}', *done.stderr.strip().splitlines()][-1]}")
    return done.stdout


class Server:
    """A server that `with` starts and kills; it listens at `url`, which it keeps, and to other machines, too."""

    process: subprocess.Popen[bytes] | None = None

    def __init__(self, package: Path, folder: Path) -> None:
        """Raises NoServer if the binary cannot be unpacked."""
        self.folder = folder.resolve()
        ports = free_ports(12)  # ten that the settings name, and two
        etcd, self.health = ports.pop(), ports.pop()
        command = [sys.executable, "-c", PREPARE, str(self.folder), json.dumps(ports)]
        given = json.loads(checked(command, f"milvus {VERSION} cannot be unpacked", PYTHONPATH=str(package)))
        self.url = f"http://127.0.0.1:{given['proxy_port']}"
        own, settings = self.folder / "configs" / "etcd.yaml", self.folder / "configs" / "milvus.yaml"
        own.write_text(ETCD.format(given["etcd_port"], etcd), encoding="utf-8")
        text = settings.read_text(encoding="utf-8")
        settings.write_text(text.replace("\n  use:\n", f"\n  config:\n    path: {own}\n  use:\n", 1), encoding="utf-8")

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    def start(self) -> float:
        """Seconds until it says that it is well. Raises NoServer if it ends before that, or takes too long."""
        libraries = self.folder / "bin"
        own = {"DEPLOY_MODE": "STANDALONE", "METRICS_PORT": str(self.health), "LD_LIBRARY_PATH": str(libraries)}
        command, begun = [str(libraries / "milvus"), "run", "standalone"], time.monotonic()
        with (self.folder / "logs" / "output.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=os.environ | own, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT
            )
        while not self.well():
            ended, passed = self.process.poll(), time.monotonic() - begun
            if ended is not None or passed > STARTS_WITHIN:
                self.kill()
                raise NoServer(f"milvus {VERSION} does not start: after {passed:.0f} s its exit status is {ended}")
            time.sleep(0.2)
        return time.monotonic() - begun

    def well(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health}/healthz", timeout=5) as answer:
                return bool(answer.read() == b"OK")
        except OSError:
            return False

    def kill(self) -> None:
        """SIGKILL, whatever it does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def free_ports(count: int) -> list[int]:
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as own:
            if own.connect_ex(("127.0.0.1", port)):  # nobody listens
                found.append(port)
        if len(found) == count:
            return found
    raise NoServer(f"fewer than {count} ports are free")


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="dcal-milvus-") as name:
        folder = Path(name)
        with Server(package(folder / "package"), folder / "server") as server:
            print(server.url, flush=True)
            try:
                signal.pause()
            except KeyboardInterrupt:
                print("The server ends, and its data are removed.")


if __name__ == "__main__":
    main()
