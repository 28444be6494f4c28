"""The TLS context of the server's port, and messages for certificates that cannot be used."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final, NoReturn

from ..settings.sources import SettingsError

_OTHER_KEY: Final = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""OpenSSL's reasons for a key that does not belong to the certificate. It keeps one certificate per kind
of key, so a key of another kind has none assigned."""
_OF_CERTIFICATE: Final = ("EE_", "CA_")
"""Prefixes of OpenSSL's reasons for a certificate below its security level."""


class _Encrypted(Exception):
    """OpenSSL asks for the passphrase of a key."""


def tls_context(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """The TLS context, None without a certificate.

    Raises SettingsError, whose line names the setting, the file and what is allowed.
    """
    if cert is None or key is None:
        return None
    certificates, private = _read("tls_cert", cert), _read("tls_key", key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, key, password=_nobody_to_ask)
    except _Encrypted:
        raise _refusal("tls_key", key, "it is encrypted", "a key without a passphrase") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or ""
        if reason in _OTHER_KEY:
            why = f"it is not the key of the certificate in {cert}"
            raise _refusal("tls_key", key, why, "the certificate's key") from None
        if reason.startswith(_OF_CERTIFICATE):
            why = f"OpenSSL rejects its certificate: {reason.replace('_', ' ').lower()}"
        elif b"-----BEGIN CERTIFICATE-----" not in certificates:
            why = "it contains no certificate"
        elif b"PRIVATE KEY-----" in private and not _holds_certificates(cert):
            why = "its certificate is damaged"
        else:
            why = "it contains no private key, or a damaged one"
            raise _refusal("tls_key", key, why, "a PEM file with the certificate's key") from None
        raise _refusal("tls_cert", cert, why, "a PEM file with the certificate chain") from None
    return context


def _nobody_to_ask() -> NoReturn:
    """Raise _Encrypted. OpenSSL would ask at the terminal, and wait for ever if there is none."""
    raise _Encrypted


def _holds_certificates(file: Path) -> bool:
    try:
        ssl.create_default_context(cafile=file)
    except (OSError, ValueError):
        return False
    return True


def _read(setting: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        why = f"it cannot be read: {error.strerror}"
        raise _refusal(setting, file, why, "a file that this user can read") from None


def _refusal(setting: str, file: Path, why: str, allowed: str) -> SettingsError:
    return SettingsError([f"{setting}: {file} is not usable; {why}; allowed: {allowed}"])
