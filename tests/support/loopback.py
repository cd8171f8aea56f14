"""Servers on the loopback interface, for the session's fixtures: S3 (moto) and HTTP(S) with byte ranges (nginx)."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUCKET = "bucket"
HEADERS = {"X-Token": "let-me-in"}

NGINX = """
daemon off;
worker_processes 1;
pid {root}/nginx.pid;
error_log {root}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {root}/t1;
    proxy_temp_path {root}/t2;
    fastcgi_temp_path {root}/t3;
    uwsgi_temp_path {root}/t4;
    scgi_temp_path {root}/t5;
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{secure} ssl;
        ssl_certificate {root}/cert.pem;
        ssl_certificate_key {root}/key.pem;
        root {root}/files;
        location /open/ {{ alias {root}/files/; }}
        location /broken/ {{ return 500; }}
        location / {{ if ($http_x_token != "let-me-in") {{ return 403; }} }}
    }}
}}
"""


@dataclass(frozen=True)
class S3:
    """An S3 server with one bucket."""

    endpoint: str

    def obstore(self, prefix: str) -> Any:
        from obstore.store import S3Store

        return S3Store(
            BUCKET,
            prefix=prefix,
            endpoint=self.endpoint,
            access_key_id="key",
            secret_access_key="secret",
            region="us-east-1",
            client_options={"allow_http": True},
        )

    @property
    def options(self) -> dict[str, Any]:
        """Storage options of s3fs."""
        return {"endpoint_url": self.endpoint, "key": "key", "secret": "secret"}


@dataclass(frozen=True)
class Web:
    """A web server: requests for `files` need HEADERS, except under /open/; /broken/ responds with 500."""

    files: Path
    http: str
    https: str
    certificate: str


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def s3() -> Iterator[S3]:
    """Runs an S3 server on a thread."""
    from moto.server import ThreadedMotoServer

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        os.environ.setdefault(name, "testing")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        one = S3(f"http://{host}:{port}")
        import botocore.session

        client = botocore.session.get_session().create_client(
            "s3",
            region_name="us-east-1",
            endpoint_url=one.endpoint,
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )
        client.create_bucket(Bucket=BUCKET)
        client.close()
        yield one
    finally:
        server.stop()


@contextlib.contextmanager
def web(root: Path) -> Iterator[Web | None]:
    """Runs a web server in `root`; None where nginx is not installed."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if nginx is None:
        yield None
        return
    files = root / "files"
    files.mkdir(parents=True)
    certify(root)
    port, secure = free_port(), free_port()
    configuration = root / "nginx.conf"
    # Started as root, nginx would switch its workers to a user that cannot read what the tests write.
    user = "user root;" if hasattr(os, "geteuid") and os.geteuid() == 0 else ""
    configuration.write_text(user + NGINX.format(root=root, port=port, secure=secure))
    command = [nginx, "-p", str(root), "-e", str(root / "error.log"), "-c", str(configuration)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for port_to_come in (port, secure):
            wait_for(port_to_come, process)
        yield Web(
            files,
            f"http://127.0.0.1:{port}",
            f"https://127.0.0.1:{secure}",
            str(root / "cert.pem"),
        )
    finally:
        process.terminate()
        process.wait(10)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def certify(root: Path) -> None:
    """Writes a key and a certificate for 127.0.0.1, signed by itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    (root / "cert.pem").write_bytes(certificate.public_bytes(encoding))
    (root / "key.pem").write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
