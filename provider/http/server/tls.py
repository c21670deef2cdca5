"""The server's certificate and key, read from disk again when the files change.

A mounted Secret is renewed while the server runs. Every handshake uses the current files; open connections keep their
certificate. While the files do not match, because only one of them has been replaced, the previous pair stays in use.
"""

import logging
import ssl
from pathlib import Path
from threading import Lock
from typing import Self

from provider.model.errors import NotConfigured


class Certificate:
    """A certificate chain and its key, both PEM."""

    def __init__(self, cert_file: Path, key_file: Path) -> None:
        """Read the files now. Raises NotConfigured if they cannot be used."""
        self._files = (cert_file, key_file)
        self._reading = Lock()
        self._logged: object = None
        try:
            self._stamp = self._stamp_now()
            self._context = self._load()
        except (OSError, ValueError) as error:
            raise NotConfigured(self._sentence(error)) from error

    @classmethod
    def of(cls, cert_file: str | None, key_file: str | None) -> Self | None:
        """Read the files of the settings; None without them: the server speaks HTTP."""
        return cls(Path(cert_file), Path(key_file)) if cert_file and key_file else None

    def context(self) -> ssl.SSLContext:
        """Return the TLS context for a new connection."""
        with self._reading:
            stamp: object = None
            try:
                stamp = self._stamp_now()
                if stamp != self._stamp:
                    self._context = self._load()
                    self._stamp = stamp
                    logging.getLogger(__name__).info("TLS certificate reloaded")
            except (OSError, ValueError) as error:
                if stamp is None or stamp != self._logged:  # once per state of the files, not per connection
                    self._logged = stamp
                    logging.getLogger(__name__).warning(
                        "%s; the previous certificate stays in use", self._sentence(error)
                    )
            return self._context

    def _stamp_now(self) -> tuple[tuple[int, int, int], ...]:
        """Return what changes with the files; a mounted Secret replaces a link to them."""
        stats = [file.stat() for file in self._files]
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.load_cert_chain(*self._files, password=_refuse)
        return context

    def _sentence(self, error: Exception) -> str:
        """Say which files are wrong and why, without quoting them."""
        cert_file, key_file = self._files
        return f"PROVIDER_TLS_CERT_FILE {cert_file} and PROVIDER_TLS_KEY_FILE {key_file} cannot be used: {_why(error)}"


def _refuse() -> str:
    """Refuse an encrypted key; without this OpenSSL asks for its passphrase at a terminal."""
    raise ValueError("the key is encrypted; passphrases are not supported")


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        if error.reason == "KEY_VALUES_MISMATCH":
            return "the key does not belong to the certificate"
        return f"they are not a PEM certificate and its key ({error.reason})"
    if isinstance(error, OSError):
        return str(error.strerror or type(error).__name__)
    return str(error)
