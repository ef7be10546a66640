"""A network that a passphrase opens: AES-256-GCM under a key that Argon2id makes of it.

A protected file is a magic word, four bytes (length of the header, big-endian), the header (JSON: what the
key is made with, salt, nonce, a check value of the passphrase), then ciphertext and tag. Header and card are
authenticated with the network: neither can be exchanged. The plain network is in memory alone.
"""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import asdict, dataclass
from typing import Any

from tenfold_runner.errors import PackageError, PassphraseError

__all__ = ["ENCRYPTED", "Header", "Parameters", "decrypt", "encrypt"]

ENCRYPTED = "model.onnx.enc"
"""Name of the protected network in a package."""

_MAGIC = b"tenfold-protected\n"
_FORMAT = 1
_KEY = 32  # bytes, of the key and of the check value
_NONCE = 12
_SALT = 16
_LARGEST_HEADER = 4096
_MOST = {"memory_kib": 1 << 20, "passes": 64, "lanes": 16}  # a changed header must not exhaust the machine


@dataclass(frozen=True)
class Parameters:
    """What a key costs, by Argon2id (RFC 9106).

    Attributes:
        memory_kib: memory for one try, in KiB.
        passes: over that memory.
        lanes: threads.
    """

    memory_kib: int = 65536
    passes: int = 3
    lanes: int = 4


@dataclass(frozen=True)
class Header:
    """The readable part of a protected file.

    Attributes:
        parameters: of the key.
        salt: random, of the key.
        nonce: random, of the encryption.
        check: tells a wrong passphrase from a changed network.
    """

    parameters: Parameters
    salt: bytes
    nonce: bytes
    check: bytes

    def to_bytes(self) -> bytes:
        """Magic, length and JSON."""
        content = {
            "format": _FORMAT,
            "key": "argon2id",
            **asdict(self.parameters),
            "cipher": "aes-256-gcm",
            **{name: getattr(self, name).hex() for name in ("salt", "nonce", "check")},
        }
        text = json.dumps(content).encode()
        return _MAGIC + len(text).to_bytes(4, "big") + text


def encrypt(model: bytes, card: bytes, passphrase: str, parameters: Parameters | None = None) -> bytes:
    """Protect `model`.

    Args:
        model: plain ONNX file.
        card: the bytes of card.json; only beside these will it open again.
        passphrase: any text; accents typed in different ways are the same.
        parameters: what a key costs; the default takes 64 MiB and about a tenth of a second.

    Example:
        >>> cheap = Parameters(memory_kib=64, passes=1, lanes=1)
        >>> decrypt(encrypt(b"network", b"card", "open sesame", cheap), b"card", "open sesame")
        b'network'
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  only protected packages have it

    parameters, salt = parameters or Parameters(), secrets.token_bytes(_SALT)
    key, check = _derive(passphrase, salt, parameters)
    header = Header(parameters, salt, secrets.token_bytes(_NONCE), check)
    head = header.to_bytes()
    return head + AESGCM(key).encrypt(header.nonce, model, head + card)


def decrypt(data: bytes, card: bytes, passphrase: str) -> bytes:
    """The plain network.

    Args:
        data: what `encrypt` gave.
        card: the bytes of card.json.
        passphrase: the one it was protected with.

    Raises:
        PassphraseError: it is another one.
        PackageError: header, network or card are not those that were protected together.
    """
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415  only protected packages have it
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    header, begin = _header(data)
    key, check = _derive(passphrase, header.salt, header.parameters)
    if not hmac.compare_digest(check, header.check):
        raise PassphraseError("wrong passphrase; the network stays locked")
    try:
        return AESGCM(key).decrypt(header.nonce, data[begin:], data[:begin] + card)
    except InvalidTag:
        raise PackageError(
            "the passphrase is right, but the network or its card were changed after they were protected; "
            "get the package again"
        ) from None


def _derive(passphrase: str, salt: bytes, parameters: Parameters) -> tuple[bytes, bytes]:
    """Key and check value; of the second nothing follows about the first."""
    import unicodedata  # noqa: PLC0415  a megabyte that only protected packages have

    from argon2.low_level import Type, hash_secret_raw  # noqa: PLC0415  only protected packages have it

    secret = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogateescape")
    made = hash_secret_raw(
        secret,
        salt,
        time_cost=parameters.passes,
        memory_cost=parameters.memory_kib,
        parallelism=parameters.lanes,
        hash_len=2 * _KEY,
        type=Type.ID,
    )
    return made[:_KEY], made[_KEY:]


def _header(data: bytes) -> tuple[Header, int]:
    """The header of a protected file, and where the ciphertext begins."""
    start = len(_MAGIC) + 4
    length = int.from_bytes(data[len(_MAGIC) : start], "big")
    if not data.startswith(_MAGIC) or length > _LARGEST_HEADER or len(data) < start + length:
        raise _spoilt("it is not what tenfold writes")
    try:
        content = json.loads(data[start : start + length])
        if (content["format"], content["key"], content["cipher"]) != (_FORMAT, "argon2id", "aes-256-gcm"):
            raise _spoilt("it is of a format that this program does not know")
        header = Header(
            _parameters(content), *(bytes.fromhex(content[name]) for name in ("salt", "nonce", "check"))
        )
    except (ValueError, KeyError, TypeError) as error:
        raise _spoilt(f"its header is broken ({error!r})") from error
    if (len(header.salt), len(header.nonce), len(header.check)) != (_SALT, _NONCE, _KEY):
        raise _spoilt("its header has values of other lengths")
    return header, start + length


def _parameters(content: dict[str, Any]) -> Parameters:
    """What the key costs, within bounds."""
    values = {name: int(content[name]) for name in _MOST}
    if any(not 1 <= value <= _MOST[name] for name, value in values.items()):
        raise _spoilt(f"its key would cost {values}, more than this program spends")
    if values["memory_kib"] < 8 * values["lanes"]:
        raise _spoilt(f"its key cannot be made with {values}")
    return Parameters(**values)


def _spoilt(cause: str) -> PackageError:
    """The file cannot be used."""
    return PackageError(f"cannot open {ENCRYPTED}: {cause}; get the package again")
