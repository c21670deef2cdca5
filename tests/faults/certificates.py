"""A certificate authority, and servers' certificates that are good or wrong in one way each."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


class Authority:
    """Signs certificates for one host name; `file` is what a client must trust."""

    def __init__(self, directory: Path, host: str) -> None:
        """Make its own key and certificate."""
        self._directory = directory
        self._host = host
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority of {host}")])
        own = self._builder(self._name, self._key, timedelta(days=1)).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.file = directory / f"{host}-authority.pem"
        self.file.write_bytes(own.sign(self._key, SHA256()).public_bytes(Encoding.PEM))

    def good(self) -> ssl.SSLContext:
        """Return a server's context that a client accepts."""
        return self._context("good", self._host, timedelta(days=1))

    def expired(self) -> ssl.SSLContext:
        """Return one whose certificate ended an hour ago."""
        return self._context("expired", self._host, timedelta(hours=-1))

    def of_another_host(self) -> ssl.SSLContext:
        """Return one whose certificate is somebody else's."""
        return self._context("another", "other.test", timedelta(days=1))

    def unknown(self) -> ssl.SSLContext:
        """Return one that an unknown authority signed."""
        return Authority(self._directory / "unknown", self._host)._context("unknown", self._host, timedelta(days=1))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, ends: timedelta) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + ends)
        )

    def _context(self, kind: str, host: str, ends: timedelta) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        signed = self._builder(subject, key, ends).add_extension(names, critical=False).sign(self._key, SHA256())
        file = self._directory / f"{self._host}-{kind}.pem"
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(secret + signed.public_bytes(Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context
