"""The server's own certificate: what is taken, what is refused, and how it is renewed under a running server."""

import contextlib
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from provider.http.refusals import SECONDS_BETWEEN_LINES
from provider.http.server.tls import Certificate
from provider.model.errors import NotConfigured
from tests import ROOT
from tests.each import each
from tests.server import PATIENCE, PATIENT, Server, bare_environment

PASSPHRASE = b"open sesame"


def pair(name, passphrase=None):
    """A self-signed certificate for 127.0.0.1 and its key, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    written = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), written.decode()


class Secret:
    """A Secret as Kubernetes mounts it: a link to a directory, which points to another one after a change."""

    def __init__(self, directory):
        self.directory = directory
        self.cert_file, self.key_file = directory / "..data" / "tls.crt", directory / "..data" / "tls.key"
        self._versions = 0

    def hold(self, certificate, key):
        self._versions += 1
        version = self.directory / f"version-{self._versions}"
        version.mkdir(parents=True)
        (version / "tls.crt").write_text(certificate)
        (version / "tls.key").write_text(key)
        (self.directory / "..new").symlink_to(version, target_is_directory=True)
        (self.directory / "..new").rename(self.directory / "..data")


@pytest.fixture(scope="module")
def shared_secret(tmp_path_factory):
    secret = Secret(tmp_path_factory.mktemp("tls") / "secret")
    secret.hold(*pair("first"))
    return secret


@pytest.fixture
def secret(shared_secret):
    """The server's Secret with a pair of its own for each test."""
    shared_secret.hold(*pair("first"))
    return shared_secret


@pytest.fixture(scope="module")
def shared_server(shared_world, tmp_path_factory, shared_secret):
    """A server with TLS, for at most 34 connections."""
    directory = tmp_path_factory.mktemp("server")
    settings = {
        "PROVIDER_TLS_CERT_FILE": str(shared_secret.cert_file),
        "PROVIDER_TLS_KEY_FILE": str(shared_secret.key_file),
        "PROVIDER_THREADS": "2",
        "PROVIDER_CONNECTIONS": "34",
        "PROVIDER_CLIENT_TIMEOUT_SECONDS": "60",
    }
    with Server(bare_environment(shared_world.environment(directory)), directory, **PATIENT | settings) as running:
        yield running


@pytest.fixture
def server(world, shared_server, secret):  # noqa: ARG001 - an empty world, and the first pair
    """The server with the first pair, in an empty world."""
    return shared_server


def greeted_by(server, **more):
    """The common name in the certificate of a new connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for name, value in more.items():
        setattr(context, name, value)
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as plain,
        context.wrap_socket(plain) as connection,
    ):
        certificate = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")
    (common_name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return common_name.value


@pytest.mark.usefixtures("scene")
def test_it_answers_over_tls(server):
    """With both files the server answers probes and queries over TLS, and its certificate verifies."""
    assert server.ask("target-health", namespace="shop", rollout="web").json()["phase"] == "Successful"
    assert server.session.get(f"{server.url}/livez", timeout=PATIENCE).status_code == 200


def test_the_images_health_check_knows_tls(server):
    """The image's HEALTHCHECK passes for a server with TLS, whatever signed its certificate."""
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    (command,) = re.findall(r"^HEALTHCHECK .* CMD (\[.*\])$", dockerfile, re.MULTILINE)
    environment = {"PROVIDER_PORT": str(server.port), "PROVIDER_TLS_CERT_FILE": "any"}

    program = json.loads(command)[1:]

    assert subprocess.run([sys.executable, *program], env=environment, timeout=PATIENCE, check=False).returncode == 0


def test_only_tls_of_today_is_spoken(server):
    """Plain HTTP and TLS before 1.2 get no answer, and the log says that the address needs https://."""
    refused: list[str] = []
    for _ in range(5):  # on a busy machine a probe of the start may have had the one line of its second
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as plain:
            plain.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
            received = plain.recv(65536)
        refused = [line["message"] for line in server.lines() if line["logger"] == "provider.http.refusals"]
        if any("HTTPS" in message for message in refused):
            break
        time.sleep(SECONDS_BETWEEN_LINES + 0.1)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"), pytest.raises((ssl.SSLError, ConnectionError)):
        greeted_by(server, maximum_version=ssl.TLSVersion.TLSv1_1)

    assert b"200 OK" not in received
    assert "This port speaks HTTPS: the address needs https://." in refused
    assert greeted_by(server, maximum_version=ssl.TLSVersion.TLSv1_2) == "first"
    assert greeted_by(server, minimum_version=ssl.TLSVersion.TLSv1_3) == "first"
    assert not [line for line in server.lines() if line["level"] == "ERROR"]


def test_half_a_handshake_keeps_nobody_out(server):
    """More clients than connections that stop in the middle of a handshake do not keep others out."""
    with contextlib.ExitStack() as dawdling:
        for _ in range(100):
            one = dawdling.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE))
            one.sendall(b"\x16\x03\x01\x02\x00\x01")

        assert greeted_by(server) == "first"

    assert server.is_ready()
    assert not [line for line in server.lines() if line["level"] == "ERROR"]


def test_a_renewed_certificate_is_used_without_a_restart(server, secret):
    """After a renewal the next connection gets the new certificate, and an open one continues."""
    established = http.client.HTTPSConnection(
        "127.0.0.1",
        server.port,
        timeout=PATIENCE,
        context=ssl.create_default_context(cafile=str(secret.cert_file)),
    )
    established.request("GET", "/livez")
    assert established.getresponse().read()
    held = established.sock
    before = greeted_by(server)

    secret.hold(*pair("second"))

    assert (before, greeted_by(server)) == ("first", "second")
    established.request("GET", "/livez")
    assert established.getresponse().status == 200
    assert established.sock is held
    established.close()


BROKEN = {
    "only one of the two is new": lambda good: (good[0], pair("other")[1]),
    "half a certificate": lambda good: (good[0][: len(good[0]) // 2], good[1]),
    "empty key": lambda good: (good[0], ""),
    "nonsense": lambda _: ("nonsense", "nonsense"),
}


@each("broken", BROKEN)
def test_a_broken_pair_changes_nothing(server, secret, broken):
    """While the two files do not match, the previous certificate stays in use, and the log says so once."""
    previous, logged = greeted_by(server), len(server.lines())
    good = pair(f"{previous}, renewed")
    secret.hold(*broken(good))
    meanwhile = {greeted_by(server) for _ in range(3)}
    complaints = [line for line in server.lines()[logged:] if line["logger"] == "provider.http.server.tls"]

    secret.hold(*good)

    assert meanwhile == {previous}
    assert [
        (complaint["level"], complaint["message"].endswith("; the previous certificate stays in use"))
        for complaint in complaints
    ] == [("WARNING", True)]
    assert greeted_by(server) == f"{previous}, renewed"


def test_files_that_are_gone_change_nothing(server, secret):
    """A Secret that is deleted while the server runs changes nothing."""
    before = greeted_by(server)
    secret.cert_file.unlink()

    assert (before, greeted_by(server)) == ("first", "first")
    assert server.lines()[-1]["message"].endswith("No such file or directory; the previous certificate stays in use")


@pytest.mark.parametrize(
    ("certificate", "key", "sentence"),
    [
        (None, None, "No such file or directory"),
        ("nonsense", "nonsense", "they are not a PEM certificate and its key"),
        (pair("a")[0], pair("b")[1], "the key does not belong to the certificate"),
        (*pair("a", PASSPHRASE), "the key is encrypted; passphrases are not supported"),
    ],
    ids=["none", "nonsense", "mismatch", "encrypted"],
)
def test_files_that_are_wrong_at_the_start_are_refused(tmp_path, certificate, key, sentence):
    """A server does not start with unusable files; it names them and says why, without quoting them."""
    cert_file, key_file = tmp_path / "tls.crt", tmp_path / "tls.key"
    if certificate is not None:
        cert_file.write_text(certificate)
        key_file.write_text(key)

    with pytest.raises(NotConfigured, match=sentence) as raised:
        Certificate(cert_file, key_file)

    assert str(raised.value).startswith(
        f"PROVIDER_TLS_CERT_FILE {cert_file} and PROVIDER_TLS_KEY_FILE {key_file} cannot be used: "
    )
    assert key is None or not any(line in str(raised.value) for line in key.splitlines() if line != "nonsense")


def test_serve_says_what_is_wrong_with_the_files(tmp_path):
    """`alb-provider serve` with unusable files prints one sentence that names them, and exits with 3."""
    files = {f"PROVIDER_TLS_{kind}_FILE": str(tmp_path / "none") for kind in ("CERT", "KEY")}

    done = subprocess.run(
        [sys.executable, "-m", "provider.cli.main", "serve"],
        env=os.environ | files,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert done.stderr.startswith(f"Error: PROVIDER_TLS_CERT_FILE {tmp_path / 'none'} and PROVIDER_TLS_KEY_FILE ")
