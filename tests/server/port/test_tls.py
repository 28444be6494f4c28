"""What is wrong with a certificate is told by its setting and file."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cosyserve.server.port.tls import tls_context
from cosyserve.server.settings.sources import SettingsError
from support.peers.tls import self_signed


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    folder = tmp_path / "good"
    folder.mkdir()
    cert, key = self_signed(folder)
    return Path(cert), Path(key)


def openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def told(cert: Path, key: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        tls_context(cert, key)
    (line,) = caught.value.lines
    assert "\n" not in line
    assert "; allowed: " in line
    return line


def test_a_pair_that_fits(pair: tuple[Path, Path]) -> None:
    assert tls_context(*pair) is not None
    assert tls_context(None, None) is None


def test_a_key_of_another_certificate(pair: tuple[Path, Path], tmp_path: Path) -> None:
    _cert, other = self_signed(tmp_path)
    assert told(pair[0], Path(other)).startswith(
        f"tls_key: {other} is not usable; it is not the key"
    )


@pytest.mark.parametrize("content", [b"", b"junk", b"\x00\xff"])
def test_files_without_what_is_needed(
    pair: tuple[Path, Path], tmp_path: Path, content: bytes
) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_bytes(content)
    assert told(wrong, pair[1]).startswith(
        f"tls_cert: {wrong} is not usable; it contains no certificate"
    )
    assert told(pair[0], wrong).startswith(
        f"tls_key: {wrong} is not usable; it contains no private key"
    )
    assert told(pair[1], pair[0]).startswith("tls_cert: ")


def test_damaged_files(pair: tuple[Path, Path], tmp_path: Path) -> None:
    for setting, file in zip(("tls_cert", "tls_key"), pair, strict=True):
        damaged = tmp_path / file.name
        damaged.write_bytes(
            file.read_bytes()[:-200] + b"\n" + file.read_bytes().splitlines()[-1] + b"\n"
        )
        files = {"tls_cert": pair[0], "tls_key": pair[1], setting: damaged}
        assert told(files["tls_cert"], files["tls_key"]).startswith(f"{setting}: {damaged}")


def test_a_key_with_a_passphrase_asks_nobody(pair: tuple[Path, Path], tmp_path: Path) -> None:
    locked = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "pkey", "-in", pair[1], "-aes256", "-passout", "pass:secret", "-out", locked],
        check=True,
    )
    line = told(pair[0], locked)
    assert line.startswith(f"tls_key: {locked} is not usable; it is encrypted; allowed: ")


@pytest.mark.parametrize(
    "kind", [("EC", "ec_paramgen_curve:secp384r1"), ("ED25519", ""), ("RSA", "")]
)
def test_a_key_of_another_kind(
    pair: tuple[Path, Path], tmp_path: Path, kind: tuple[str, str]
) -> None:
    other = tmp_path / "other.pem"
    option = ["-pkeyopt", kind[1]] if kind[1] else []
    openssl("genpkey", "-algorithm", kind[0], *option, "-out", str(other))
    assert told(pair[0], other).startswith(f"tls_key: {other} is not usable; it is not the key of")


def test_a_certificate_that_is_too_weak(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    openssl(
        *("req", "-x509", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=weak"),
        *("-keyout", str(key), "-out", str(cert)),
    )
    assert told(cert, key).startswith(
        f"tls_cert: {cert} is not usable; OpenSSL rejects its certificate: ee key too small"
    )


def test_a_file_that_cannot_be_read(pair: tuple[Path, Path], tmp_path: Path) -> None:
    assert told(tmp_path, pair[1]).startswith(
        f"tls_cert: {tmp_path} is not usable; it cannot be read"
    )
