"""Which passwords are taken, after NIST SP 800-63B: length and a list of the usual ones, no rule on signs."""

from __future__ import annotations

import secrets
import unicodedata

from tenfold.studio.errors import PasswordError

__all__ = ["LONGEST", "SHORTEST", "check_password", "encoded", "new_password"]

SHORTEST = 10
LONGEST = 1024
_SIGNS = "abcdefghijkmnpqrstuvwxyz23456789"  # 32, none of them like another
_GROUPS = (5, 5, 5)  # 75 bits
_COMMON = """
    0123456789 01234567890 0987654321 1029384756 1111111111 1122334455 11223344556677 1234512345 123456123456
    1234567890 12345678900 12345678901 1234567890a 123456789a 1234567891 12345678910 123456789q 123456789z
    1234qwerasdf 1234qwerty 123qweasdzxc 147258369 1472583690 1q2w3e4r5t 1q2w3e4r5t6y 1q2w3e4r5t6y7u
    1qaz2wsx3edc 1qazxsw2 1qazxsw23edc 7894561230 9876543210 98765432100 a123456789 abc123456789 abcd123456
    abcd1234567 abcdef1234 abcdefghij abcdefghijk administrator administrator1 asdf123456 asdfasdfasdf
    asdfghjkl1 asdfghjkl123 changeme123 changemenow football123 iloveyou12 iloveyou123 iloveyou1234
    iloveyousomuch letmein123 letmein1234 letmeinnow michael123 p4ssw0rd123 p@ssw0rd12 p@ssw0rd123 p@ssword123
    passw0rd12 passw0rd123 password01 password10 password11 password12 password123 password1234 password12345
    password123456 password2024 password2025 password2026 password99 passwordpassword princess123 q1w2e3r4t5
    q1w2e3r4t5y6 qazwsxedcrfv qwer123456 qwerasdfzxcv qwertqwert qwerty1234 qwerty12345 qwerty123456
    qwerty123456789 qwertyuiop qwertyuiop1 qwertyuiop123 qwertyuiopasdf samsung123 secret1234 sunshine123
    superman123 tenfoldtenfold tenfold123 tenfold1234 tenfoldstudio test123456 test1234567 trustno1trustno1
    welcome123 welcome1234 welcome12345 zaq12wsxcde3 zxcvbnm123 zxcvbnm1234 zxcvbnm12345 zxcvbnmasdf
"""


def encoded(password: str) -> bytes:
    r"""The bytes that are hashed: the same for all ways to type a sign.

    Example:
        >>> encoded("e\u0301") == encoded("\u00e9")
        True
    """
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


def check_password(password: str, name: str) -> None:
    """Refuse a new password that is too easily guessed.

    Args:
        password: in clear.
        name: of the account.

    Raises:
        PasswordError: shorter than 10 or longer than 1,024 signs, the name itself (signs and digits at its
            ends apart), one of the most common ones, or made of fewer than four different signs.

    Example:
        >>> check_password("correct horse battery", "ada")
        >>> check_password("Ada Lovelace 1815", "ada lovelace")
        Traceback (most recent call last):
        ...
        tenfold.studio.errors.PasswordError: the password is the name of the account; take another one
    """
    length = len(unicodedata.normalize("NFKC", password))
    if not SHORTEST <= length <= LONGEST:
        raise PasswordError(
            f"the password has {length} signs; take {SHORTEST} to {LONGEST:,}, a sentence for instance"
        )
    lowered = unicodedata.normalize("NFKC", password).casefold()
    if _letters(lowered) == _letters(unicodedata.normalize("NFKC", name).casefold()):
        raise PasswordError("the password is the name of the account; take another one")
    if lowered.strip() in _COMMON.split():
        raise PasswordError(
            "this is one of the most common passwords, which are tried first; take another one"
        )
    if len(set(lowered)) < 4:
        raise PasswordError("the password repeats a few signs; take another one")


def new_password() -> str:
    """A random password that can be read out, of 75 bits.

    Example:
        >>> [len(group) for group in new_password().split("-")]
        [5, 5, 5]
    """
    return "-".join("".join(secrets.choice(_SIGNS) for _ in range(length)) for length in _GROUPS)


def _letters(text: str) -> str:
    """`text` without what is no letter at its ends; all of it where there is no letter."""
    inner = [index for index, sign in enumerate(text) if sign.isalpha()]
    return text[inner[0] : inner[-1] + 1] if inner else text
