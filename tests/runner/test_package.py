"""A package is opened when it is whole, and by the right passphrase alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from packages import write_folder, write_run
from tenfold.packaging.options import PackOptions
from tenfold_runner.card import CARD, Card
from tenfold_runner.classify import Classifier
from tenfold_runner.errors import PackageError, PassphraseError
from tenfold_runner.manifest import MANIFEST, check_files, files_below, manifest_of, read_manifest
from tenfold_runner.package import MODEL, Package, waiting_seconds
from tenfold_runner.protect import ENCRYPTED, Parameters, decrypt, encrypt
from tenfold_runner.seal import check_seal, seal

CHEAP = Parameters(memory_kib=64, passes=1, lanes=1)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    return write_folder(write_run(folder / "run"), folder / "out")


@pytest.fixture
def package(built: Path, tmp_path: Path) -> Path:
    return shutil.copytree(built, tmp_path / "package")


def flip(path: Path, place: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def sign_again(folder: Path) -> None:
    (folder / MANIFEST).write_text(manifest_of(folder), encoding="utf-8")


def test_one_flipped_bit_in_any_file_is_refused_by_name(package: Path) -> None:
    Package.open(package)
    names = sorted(set(files_below(package)) - {MANIFEST})
    assert {MODEL, CARD, "__main__.py", "tenfold_runner/command.py"} <= set(names)
    for name in names:
        path = package / name
        before = path.read_bytes()
        if before:
            flip(path, len(before) // 2)
            with pytest.raises(PackageError, match=rf"{path.name} was changed: .*; get the package again"):
                Package.open(package)
            path.write_bytes(before)
    Package.open(package)


def test_files_that_are_gone_or_longer(package: Path) -> None:
    model = (package / MODEL).read_bytes()
    (package / MODEL).write_bytes(model + b"x")
    with pytest.raises(PackageError, match=f"has {len(model) + 1:,} bytes .* says {len(model):,} bytes"):
        Package.open(package)
    (package / MODEL).unlink()
    with pytest.raises(PackageError, match=r"cannot read .*model.onnx: No such file"):
        Package.open(package)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "is no manifest"),
        ("[]", "is no manifest"),
        ("[" * 100_000, "is no manifest"),
        ('{"format": 2, "files": {}}', "has format 2, this program reads 1"),
        ('{"format": 1, "files": {"a": {}}}', "says nothing about 'a'"),
        ('{"format": 1, "files": {"../a": {"sha256": "", "bytes": 0}}}', "'../a', which is not inside"),
        ('{"format": 1, "files": {"/etc/passwd": {"sha256": "", "bytes": 0}}}', "which is not inside"),
        ('{"format": 1, "files": {}}', "lists no card or no network"),
    ],
)
def test_wrong_manifests(package: Path, text: str, cause: str) -> None:
    (package / MANIFEST).write_text(text)
    with pytest.raises(PackageError, match=cause):
        Package.open(package)
    (package / MANIFEST).unlink()
    with pytest.raises(PackageError, match=r"cannot read .*manifest.json: No such file"):
        Package.open(package)


def test_a_file_that_is_not_listed_is_refused_when_asked_for(package: Path) -> None:
    (package / "new.txt").write_text("")
    with pytest.raises(PackageError, match=r"new.txt is not in manifest.json"):
        check_files(package, read_manifest(package), ["new.txt"])


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda card: card.update(format=2), "has format 2, this program reads 1"),
        (lambda card: card["reading"].update(resize="bicubic"), "resize='bicubic', this program knows 'bili"),
        (lambda card: card.pop("classes"), "it is no card"),
        (lambda card: card.update(input=[1, 8]), "it is no card"),
        (lambda card: card["after"].update(colour="red"), "it is no card"),
    ],
)
def test_wrong_cards(package: Path, change, cause: str) -> None:
    card = json.loads((package / CARD).read_text())
    change(card)
    (package / CARD).write_text(json.dumps(card))
    sign_again(package)
    with pytest.raises(PackageError, match=cause):
        Package.open(package)


def test_the_card_says_what_the_network_was_and_became(package: Path) -> None:
    card = Card.read(package / CARD)
    assert (card.name, card.version, card.network, card.images) == ("Ziffern 8x8", "1.0.0", "small", "digits")
    assert card.lines == (
        ("accuracy", "98.50 %", "97.25 %"),
        ("size", "4,000 bytes", "400 bytes"),
        ("parameters", "1,000", "100"),
        ("multiply-adds", "9,000", "900"),
        ("latency where it was made", "0.250 ms", "unknown"),
    )


def test_a_truncated_network_and_one_of_another_card(package: Path) -> None:
    card, model = Card.read(package / CARD), (package / MODEL).read_bytes()
    for broken in (model[: len(model) // 2], b"", b"\0" * 100):
        with pytest.raises(PackageError, match=r"the network cannot be loaded: .*; get the package again"):
            Classifier(card, broken)
    content = {**card.content, "classes": ["a", "b"]}
    (package / CARD).write_text(json.dumps(content))
    with pytest.raises(PackageError, match=r"answers with \(10,\) numbers, the card names 2 classes"):
        Classifier(Card.read(package / CARD), model)
    (package / CARD).write_text(json.dumps({**card.content, "input": [1, 9, 9]}))
    with pytest.raises(PackageError, match="the network does not run"):
        Classifier(Card.read(package / CARD), model)


def test_a_protected_package_opens_by_its_passphrase_alone(built: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    path = write_folder(run, tmp_path / "protected", PackOptions(passphrase="Grüße an alle"))
    package = Package.open(path)
    assert package.protected
    assert not Package.open(built).protected
    assert not (path / MODEL).exists()
    plain = run.onnx.read_bytes()
    assert all(plain[100:140] not in (path / name).read_bytes() for name in files_below(path))
    before = sorted(files_below(path))
    assert package.network("Grüße an alle") == plain
    assert package.network("Gru\u0308ße an alle") == plain  # typed with a combining accent
    assert sorted(files_below(path)) == before  # the network is not written anywhere
    for wrong in ("Grüße an Alle", "", None):
        with pytest.raises(PassphraseError, match="wrong passphrase"):
            package.network(wrong)


def test_no_two_packages_share_a_key(tmp_path: Path) -> None:
    first, second = (encrypt(b"network" * 9, b"card", "passphrase", CHEAP) for _ in range(2))
    headers = [json.loads(data[22 : 22 + int.from_bytes(data[18:22], "big")]) for data in (first, second)]
    for name in ("salt", "nonce", "check"):
        assert headers[0][name] != headers[1][name]
    assert decrypt(first, b"card", "passphrase") == decrypt(second, b"card", "passphrase") == b"network" * 9


def test_every_byte_of_a_protected_network_and_of_its_card_is_guarded() -> None:
    data, card = encrypt(b"the network", b"the card", "passphrase", CHEAP), b"the card"
    for place in range(len(data)):
        for bit in (0, 5):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            with pytest.raises((PackageError, PassphraseError)):
                decrypt(bytes(changed), card, "passphrase")
    for end in range(len(data)):
        with pytest.raises((PackageError, PassphraseError)):
            decrypt(data[:end], card, "passphrase")
    with pytest.raises(
        PackageError, match="the passphrase is right, but the network or its card were changed"
    ):
        decrypt(data, b"the cars", "passphrase")
    with pytest.raises(PackageError, match="the passphrase is right"):
        decrypt(data[:-1] + bytes([data[-1] ^ 1]), card, "passphrase")


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ('"memory_kib": 64', '"memory_kib": 99999999', "its key would cost"),
        ('"passes": 1', '"passes": 0', "its key would cost"),
        ('"lanes": 1', '"lanes": 9', "its key cannot be made"),
        ('"argon2id"', '"pbkdf2"', "of a format that this program does not know"),
        ('"format": 1', '"format": 2', "of a format that this program does not know"),
        ('"salt": "', '"salt": "00', "values of other lengths"),
        ('"nonce"', '"n"', "its header is broken"),
    ],
)
def test_headers_that_ask_for_something_else(old: str, new: str, cause: str) -> None:
    data = encrypt(b"network", b"card", "passphrase", CHEAP)
    length = int.from_bytes(data[18:22], "big")
    text = data[22 : 22 + length].decode()
    assert old in text
    text = text.replace(old, new)
    changed = data[:18] + len(text).to_bytes(4, "big") + text.encode() + data[22 + length :]
    with pytest.raises(PackageError, match=f"cannot open {ENCRYPTED}: .*{cause}"):
        decrypt(changed, b"card", "passphrase")


def test_the_wait_doubles_up_to_a_minute() -> None:
    assert [waiting_seconds(n) for n in (1, 2, 3, 6, 7, 50)] == [1, 2, 4, 32, 60, 60]


def test_a_sealed_file_that_was_changed(tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(bytes(1000))
    with pytest.raises(PackageError, match="was changed after it was made"):
        check_seal(path)
    seal(path)
    check_seal(path)
    for place in (0, 500, 999, 1000, 1010, -1):
        flip(path, place)
        with pytest.raises(PackageError):
            check_seal(path)
        flip(path, place)
    check_seal(path)
