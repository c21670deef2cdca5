"""The server's own certificate: two files, read again when they change.

A mounted Secret is renewed under a running server. Every handshake therefore asks here, and gets what the files hold at
that moment; connections that are established keep what they began with. A pair that does not fit together, because
only one file is there yet or half of it, changes nothing until it does.
"""

import logging
import ssl
from pathlib import Path
from threading import Lock
from typing import Self

from provider.errors import NotConfigured


class Certificate:
    """A certificate chain and its key, both PEM."""

    def __init__(self, cert_file: Path, key_file: Path) -> None:
        """Read the files now. Raises NotConfigured if they cannot be used."""
        self._files = (cert_file, key_file)
        self._reading = Lock()
        self._complained_of: object = None
        try:
            self._seen = self._look()
            self._context = self._load()
        except (OSError, ValueError) as error:
            raise NotConfigured(self._sentence(error)) from error

    @classmethod
    def of(cls, cert_file: str | None, key_file: str | None) -> Self | None:
        """Read the files that the settings name; without them there is no TLS."""
        return cls(Path(cert_file), Path(key_file)) if cert_file and key_file else None

    def context(self) -> ssl.SSLContext:
        """Return what to encrypt a new connection with."""
        with self._reading:
            seen: object = None
            try:
                seen = self._look()
                if seen != self._seen:
                    self._context = self._load()
                    self._seen = seen
                    logging.getLogger(__name__).info("The TLS certificate was read again")
            except (OSError, ValueError) as error:
                if seen is None or seen != self._complained_of:  # once for each state, not at every connection
                    self._complained_of = seen
                    logging.getLogger(__name__).warning("%s; the one before stays in use", self._sentence(error))
            return self._context

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        """Return what changes with the files; a mounted Secret is a link that points elsewhere then."""
        found = [file.stat() for file in self._files]
        return tuple((status.st_mtime_ns, status.st_size, status.st_ino) for status in found)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.load_cert_chain(*self._files, password=_refuse)
        return context

    def _sentence(self, error: Exception) -> str:
        """Say which files and what is wrong with them, without a word of what is in them."""
        cert_file, key_file = self._files
        return f"PROVIDER_TLS_CERT_FILE {cert_file} and PROVIDER_TLS_KEY_FILE {key_file} cannot be used: {_why(error)}"


def _refuse() -> str:
    """Be asked for a passphrase; without this OpenSSL would wait for one at a terminal."""
    raise ValueError("the key is encrypted, and there is no setting for a passphrase")


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        fits = error.reason != "KEY_VALUES_MISMATCH"
        return (
            f"they are not PEM of a certificate and its key ({error.reason})"
            if fits
            else "the key is not that of the certificate"
        )
    if isinstance(error, OSError):
        return str(error.strerror or type(error).__name__)
    return str(error)
