"""Tokens: what the one configured algorithm, issuer and audience let in, and everything that pretends to be such."""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from doors import LOCKED, SECRET, token
from marketstream.domain.errors import AccessDeniedError, ConfigurationError, Denial
from marketstream.serving.access.key_set import KeySet
from marketstream.serving.access.principal import Role
from marketstream.serving.access.tokens import TokenGate
from marketstream.settings import AccessSettings

RSA, OTHER_RSA = (rsa.generate_private_key(65_537, 2_048) for _ in range(2))
EC = ec.generate_private_key(ec.SECP256R1())


def hs_gate(**settings: Any) -> TokenGate:
    return TokenGate(AccessSettings(**{**LOCKED, **settings}))


def pem(key: Any) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def public_pem(key: Any) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def jwk(key: Any, **members: Any) -> dict[str, Any]:
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), **members}  # type: ignore[attr-defined]  # both have it


def write_set(path: Path, *keys: dict[str, Any]) -> None:
    path.write_text(json.dumps({"keys": keys}))


def public_gate(path: Path, algorithm: str = "RS256") -> TokenGate:
    return TokenGate(AccessSettings(**{**LOCKED, "jwt": algorithm, "jwt_keys": str(path)}))


def denial(gate: TokenGate, credential: str) -> Denial:
    with pytest.raises(AccessDeniedError) as caught:
        gate.admit(credential)
    with pytest.raises(AccessDeniedError):  # and not by the quick way either
        gate.recall(credential) or gate.admit(credential)
    return caught.value.denial


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def claims(**changes: Any) -> dict[str, Any]:
    return {**jwt.decode(token("admin"), options={"verify_signature": False}), **changes}


def test_a_token_says_who_and_what() -> None:
    principal = hs_gate().admit(token("trader", scope="openid marketstream:rest marketstream:graphql"))
    assert (principal.name, principal.role) == ("jwt:alice", Role.TRADER)
    assert principal.scopes == {"rest", "graphql"}
    assert principal.expires_us == 4_000_000_000_000_000
    assert hs_gate().recall(token()) == hs_gate().admit(token())


def test_the_role_is_the_highest_of_a_claim_that_is_a_setting() -> None:
    gate = hs_gate(jwt_role_claim="realm_access.roles")
    assert gate.admit(token(None, realm_access={"roles": ["offline", "viewer", "admin"]})).role is Role.ADMIN
    for wrong in (None, {"roles": []}, {"roles": "root"}, {"roles": [{"admin": 1}, 3]}, "admin", ["admin"]):
        assert denial(gate, token("admin", realm_access=wrong)) is Denial.ROLE


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": 1_000}, Denial.EXPIRED),
        ({"exp": None}, Denial.INVALID),
        ({"exp": "soon"}, Denial.INVALID),
        ({"exp": 10**400}, Denial.INVALID),
        ({"nbf": 3_999_999_999}, Denial.INVALID),
        ({"iss": "https://elsewhere.test"}, Denial.INVALID),
        ({"iss": None}, Denial.INVALID),
        ({"aud": "another"}, Denial.INVALID),
        ({"aud": ["another", "third"]}, Denial.INVALID),
        ({"aud": None}, Denial.INVALID),
        ({"sub": None}, Denial.INVALID),
        ({"role": "root"}, Denial.ROLE),
        ({"role": None}, Denial.ROLE),
        ({"role": 3}, Denial.ROLE),
    ],
)
def test_claims_that_let_nobody_in(changes: dict[str, Any], reason: Denial) -> None:
    present = {name: value for name, value in claims(**changes).items() if value is not None}
    body = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(present)}"
    signature = hmac.digest(SECRET.encode(), body.encode(), hashlib.sha256)
    assert denial(hs_gate(), f"{body}.{part(signature)}") is reason


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", "NONE", "", "HS512", "RS256", "hs256", None, ["HS256"]])
def test_the_algorithm_is_not_the_tokens_word(algorithm: Any) -> None:
    body = f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims())}"
    right = part(hmac.digest(SECRET.encode(), body.encode(), hashlib.sha256))
    for signature in ("", right, part(b"")):
        assert denial(hs_gate(), f"{body}.{signature}") is Denial.INVALID


def test_a_public_key_is_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    write_set(path, jwk(RSA, kid="one"))
    gate = public_gate(path)
    header = part({"alg": "HS256", "typ": "JWT", "kid": "one"})
    body = f"{header}.{part(claims())}"
    for secret in (public_pem(RSA), public_pem(RSA).strip(), json.dumps(jwk(RSA)).encode(), path.read_bytes()):
        assert denial(gate, f"{body}.{part(hmac.digest(secret, body.encode(), hashlib.sha256))}") is Denial.INVALID
    assert gate.admit(token("viewer", secret=pem(RSA), algorithm="RS256", headers={"kid": "one"})).name == "jwt:alice"


@pytest.mark.parametrize(
    "kid", ["../../../../dev/null", "/dev/null", "one' or '1'='1", "one\x00", "two", "", None, "https://x.test/keys"]
)
def test_a_kid_only_chooses_among_the_known(tmp_path: Path, kid: str | None) -> None:
    path = tmp_path / "keys.json"
    write_set(path, jwk(RSA, kid="one"))
    headers = {} if kid is None else {"kid": kid}
    forged = token("admin", secret=pem(OTHER_RSA), algorithm="RS256", headers=headers)
    assert denial(public_gate(path), forged) is Denial.INVALID
    empty = f"{part({'alg': 'HS256', 'kid': kid})}.{part(claims())}"
    signed = f"{empty}.{part(hmac.digest(b'', empty.encode(), hashlib.sha256))}"
    assert denial(public_gate(path), signed) is Denial.INVALID
    assert denial(hs_gate(), signed) is Denial.INVALID


def test_a_key_that_a_token_brings_along_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    write_set(path, jwk(RSA, kid="one"))
    for headers in ({"jwk": jwk(OTHER_RSA)}, {"jku": "http://127.0.0.1:1/keys"}, {"x5u": "http://127.0.0.1:1/x"}):
        forged = token("admin", secret=pem(OTHER_RSA), algorithm="RS256", headers={"kid": "one", **headers})
        assert denial(public_gate(path), forged) is Denial.INVALID
    critical = token("admin", secret=pem(RSA), algorithm="RS256", headers={"kid": "one", "crit": ["exp"]})
    assert denial(public_gate(path), critical) is Denial.INVALID


def test_es256_and_keys_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    write_set(path, jwk(RSA, kid="one"), jwk(EC, kid="two", alg="ES256"), jwk(EC, kid="three", use="enc"))
    gate = public_gate(path, "ES256")
    signed = {kid: token("admin", secret=pem(EC), algorithm="ES256", headers={"kid": kid}) for kid in ("two", "three")}
    assert gate.admit(signed["two"]).role is Role.ADMIN
    assert denial(gate, signed["three"]) is Denial.INVALID
    assert denial(gate, token(secret=pem(RSA), algorithm="RS256", headers={"kid": "one"})) is Denial.INVALID


def test_keys_rotate_without_a_restart_and_unknown_ones_are_not_asked_for_often(tmp_path: Path) -> None:
    path, now = tmp_path / "keys.json", [0.0]
    write_set(path, jwk(RSA, kid="one"))
    keys = KeySet(str(path), "RS256", 300.0, lambda: now[0])
    assert keys.recall("one") is None
    assert keys.find("one") is not None
    write_set(path, jwk(OTHER_RSA, kid="two"))
    assert keys.find("two") is None  # just read
    now[0] = 11.0
    assert keys.find("two") is not None
    assert keys.find("one") is None
    path.write_text("broken")
    now[0] = 1_000.0
    assert keys.recall("two") is None  # to be read again
    assert keys.find("two") is not None  # the last reading goes on


def test_without_a_key_set_nothing_can_be_checked(tmp_path: Path) -> None:
    signed = token(secret=pem(RSA), algorithm="RS256", headers={"kid": "one"})
    assert denial(public_gate(tmp_path / "absent.json"), signed) is Denial.UNCHECKED
    with pytest.raises(ConfigurationError, match="use https"):
        KeySet("http://keys.example/jwks", "RS256", 300.0)


def test_weak_rsa_keys_are_refused(tmp_path: Path) -> None:
    weak = rsa.generate_private_key(65_537, 1_024)  # noqa: S505  # that it is weak is the point
    path = tmp_path / "keys.json"
    write_set(path, jwk(weak, kid="one"))
    with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):
        signed = token("admin", secret=pem(weak), algorithm="RS256", headers={"kid": "one"})
    assert denial(public_gate(path), signed) is Denial.INVALID


@pytest.mark.parametrize("change", ["", "=", "AA", "."])
def test_truncated_and_oversized_tokens(change: str) -> None:
    whole = token("admin")
    for cut in (1, 2, 10, 43, 44, len(whole) // 2, len(whole) - 1):
        assert denial(hs_gate(), whole[:-cut] + change) is Denial.INVALID
    long = token("admin", filler="x" * 8_192)
    assert denial(hs_gate(), long) is Denial.INVALID


def test_deep_json_breaks_nothing() -> None:
    deep = b"[" * 3_000 + b"]" * 3_000
    header = part({"alg": "HS256"})
    assert denial(hs_gate(), f"{part(deep)[:4_000]}.{part(deep)[:100]}.x") is Denial.INVALID
    body = f"{header}.{part(b'[' * 2_900)}"
    assert denial(hs_gate(), f"{body}.{part(hmac.digest(SECRET.encode(), body.encode(), 'sha256'))}") is Denial.INVALID


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: f"{part(raw)}.{part(raw)}.{part(raw)}"))
def test_noise_is_refused_quietly(noise: str) -> None:
    assert denial(hs_gate(), noise) in (Denial.INVALID, Denial.MISSING)


@given(st.integers(0, len(token("admin")) - 1), st.characters(min_codepoint=33, max_codepoint=126))
def test_a_token_changed_in_one_place_is_another(index: int, character: str) -> None:
    whole = token("admin")
    changed = whole[:index] + character + whole[index + 1 :]
    if index == len(whole) - 1 or changed == whole:
        return  # the last character has two bits that say nothing
    assert denial(hs_gate(), changed) is Denial.INVALID


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"jwt_secret": "short"}, "JWT_SECRET"),
        ({"jwt": "RS256"}, "JWT_KEYS"),
        ({"jwt_issuer": ""}, "JWT_ISSUER"),
        ({"jwt_audience": ""}, "JWT_AUDIENCE"),
        ({"pepper": "short"}, "PEPPER"),
        ({"pepper": "", "jwt": "off"}, "PEPPER"),
        ({"jwt": "none"}, "jwt"),
    ],
)
def test_settings_that_would_let_anybody_in_are_refused(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        AccessSettings(**{**LOCKED, **changes})
