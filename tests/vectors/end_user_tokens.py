#!/usr/bin/env python3
"""Makes tests/vectors/end-user-tokens.json: tokens of other people's making, good and bad, and what must become of them.

Run by hand, with PyJWT and joserfc, so that what the vault accepts is what common libraries sign:

    pip install 'pyjwt[crypto]' joserfc
    python3 tests/vectors/end_user_tokens.py > tests/vectors/end-user-tokens.json

The private keys exist only while this runs.
"""

import base64
import hashlib
import hmac
import json

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc import jwk as josejwk
from joserfc import jwt as josejwt
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

NOW = 1_800_000_000
ISSUER, AUDIENCE = "https://id.example.com", "lacuna"

rsa_key = rsa.generate_private_key(65537, 2048)
weak_key = rsa.generate_private_key(65537, 1024)
ec_key = ec.generate_private_key(ec.SECP256R1())
p384_key = ec.generate_private_key(ec.SECP384R1())
ed_key = ed25519.Ed25519PrivateKey.generate()
other_rsa = rsa.generate_private_key(65537, 2048)


def public(algorithm, key, kid, **more):
    return {**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig", **more}


jwks = {"keys": [
    public(RSAAlgorithm, rsa_key, "rsa", alg="RS256"),
    public(ECAlgorithm, ec_key, "ec", alg="ES256"),
    public(OKPAlgorithm, ed_key, "ed", alg="EdDSA"),
    public(RSAAlgorithm, weak_key, "weak"),
    public(ECAlgorithm, p384_key, "p384"),
    {**public(RSAAlgorithm, rsa_key, "encrypts"), "use": "enc"},
]}


def claims(**changed):
    all = {"iss": ISSUER, "aud": AUDIENCE, "sub": "user-1", "iat": NOW - 60, "exp": NOW + 600, **changed}
    return {name: value for name, value in all.items() if value is not None}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def raw(header, payload, sign):
    signed = f"{b64(header)}.{b64(payload)}"
    return f"{signed}.{b64(sign(signed.encode()))}"


def with_rsa(**changed):
    return jwt.encode(claims(**changed), rsa_key, algorithm="RS256", headers={"kid": "rsa"})


def ed_raw(header, payload):
    return raw(header, payload, ed_key.sign)


pem = rsa_key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
plain = json.dumps(claims()).encode()
good = with_rsa()
head, body, signature = good.split(".")
ed_good = jwt.encode(claims(), ed_key, algorithm="EdDSA", headers={"kid": "ed"})
ec_good = jwt.encode(claims(), ec_key, algorithm="ES256", headers={"kid": "ec"})
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def other_spelling(text):
    """The same bytes with a bit set that belongs to no byte."""
    assert len(text) % 4
    return text[:-1] + ALPHABET[ALPHABET.index(text[-1]) ^ 1]


def hs256(header, key):
    return raw(json.dumps(header).encode(), plain, lambda m: hmac.digest(key, m, hashlib.sha256))


jose_ec = josejwk.ECKey.import_key(ec_key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))

tokens = [
    ("RS256 by PyJWT", good, "good"),
    ("ES256 by PyJWT", ec_good, "good"),
    ("EdDSA by PyJWT", ed_good, "good"),
    ("ES256 by joserfc", josejwt.encode({"alg": "ES256", "kid": "ec"}, claims(), jose_ec), "good"),
    ("aud is a list", with_rsa(aud=["other", AUDIENCE]), "good"),
    ("typ at+jwt", jwt.encode(claims(), rsa_key, algorithm="RS256", headers={"kid": "rsa", "typ": "at+jwt"}), "good"),
    ("no typ", ed_raw(b'{"alg":"EdDSA","kid":"ed"}', plain), "good"),
    ("issued 30 s ahead", with_rsa(iat=NOW + 30), "good"),
    ("15 minutes old", with_rsa(iat=NOW - 900), "good"),
    ("claims of no concern", with_rsa(email="a@example.com", realm_access={"roles": ["admin"]}), "good"),
    ("signed in long ago", with_rsa(auth_time=NOW - 3600), "good"),
    ("expires now", with_rsa(exp=NOW), "expired"),
    ("expired", with_rsa(iat=NOW - 120, exp=NOW - 1), "expired"),
    ("16 minutes old, good for a day", with_rsa(iat=NOW - 960, exp=NOW + 86400), "expired"),
    ("expired and forged", with_rsa(exp=NOW - 1)[:-8] + "AAAAAAAA", "invalid"),
    ("expired, of another audience", with_rsa(exp=NOW - 1, aud="other"), "invalid"),
    ("issued 31 s ahead", with_rsa(iat=NOW + 31), "invalid"),
    ("not before in a minute", with_rsa(nbf=NOW + 60), "invalid"),
    ("signed in in a minute", with_rsa(auth_time=NOW + 60), "invalid"),
    ("wrong audience", with_rsa(aud="other"), "invalid"),
    ("no audience", with_rsa(aud=None), "invalid"),
    ("audience list without us", with_rsa(aud=["a", "b"]), "invalid"),
    ("empty audience list", with_rsa(aud=[]), "invalid"),
    ("audience that begins like ours", with_rsa(aud=AUDIENCE + "-2"), "invalid"),
    ("audience list of other things", ed_raw(b'{"alg":"EdDSA","kid":"ed"}',
                                             json.dumps(claims(aud=[1, AUDIENCE])).encode()), "invalid"),
    ("wrong issuer", with_rsa(iss="https://id.example.org"), "invalid"),
    ("issuer with a slash more", with_rsa(iss=ISSUER + "/"), "invalid"),
    ("no issuer", with_rsa(iss=None), "invalid"),
    ("no sub", with_rsa(sub=None), "invalid"),
    ("empty sub", with_rsa(sub=""), "invalid"),
    ("sub too long", with_rsa(sub="x" * 257), "invalid"),
    ("sub is a number", ed_raw(b'{"alg":"EdDSA","kid":"ed"}', json.dumps(claims(sub=1)).encode()), "invalid"),
    ("no exp", with_rsa(exp=None), "invalid"),
    ("no iat", with_rsa(iat=None), "invalid"),
    ("exp is a text", ed_raw(b'{"alg":"EdDSA","kid":"ed"}', json.dumps(claims(exp="1900000000")).encode()), "invalid"),
    ("exp is a fraction", ed_raw(b'{"alg":"EdDSA","kid":"ed"}', json.dumps(claims(exp=NOW + 0.5)).encode()), "invalid"),
    ("exp is huge", ed_raw(b'{"alg":"EdDSA","kid":"ed"}', json.dumps(claims(exp=10**30)).encode()), "invalid"),
    ("exp is negative", ed_raw(b'{"alg":"EdDSA","kid":"ed"}', json.dumps(claims(exp=-1)).encode()), "invalid"),
    ("alg none", raw(b'{"alg":"none"}', plain, lambda _: b""), "invalid"),
    ("alg None, signed", ed_raw(b'{"alg":"None","kid":"ed"}', plain), "invalid"),
    ("alg missing", ed_raw(b'{"kid":"ed"}', plain), "invalid"),
    ("alg in a list", ed_raw(b'{"alg":["EdDSA"],"kid":"ed"}', plain), "invalid"),
    ("HS256 with the public key's PEM", hs256({"alg": "HS256", "kid": "rsa"}, pem), "invalid"),
    ("HS256 with the public key's modulus",
     hs256({"alg": "HS256", "kid": "rsa"}, jwks["keys"][0]["n"].encode()), "invalid"),
    ("RS256 under the EC key's name", jwt.encode(claims(), rsa_key, algorithm="RS256", headers={"kid": "ec"}), "invalid"),
    ("ES256 under the RSA key's name", jwt.encode(claims(), ec_key, algorithm="ES256", headers={"kid": "rsa"}), "invalid"),
    ("ES256 that says EdDSA", raw(b'{"alg":"EdDSA","kid":"ec"}', plain,
                                  lambda m: base64.urlsafe_b64decode(ec_good.split(".")[2] + "==")), "invalid"),
    ("PS256", jwt.encode(claims(), rsa_key, algorithm="PS256", headers={"kid": "rsa"}), "invalid"),
    ("RS512", jwt.encode(claims(), rsa_key, algorithm="RS512", headers={"kid": "rsa"}), "invalid"),
    ("ES384", jwt.encode(claims(), p384_key, algorithm="ES384", headers={"kid": "p384"}), "invalid"),
    ("1024 bits", jwt.encode(claims(), weak_key, algorithm="RS256", headers={"kid": "weak"}), "invalid"),
    ("a key for encryption", jwt.encode(claims(), rsa_key, algorithm="RS256", headers={"kid": "encrypts"}), "invalid"),
    ("another's key under our name",
     jwt.encode(claims(), other_rsa, algorithm="RS256", headers={"kid": "rsa"}), "invalid"),
    ("unknown key", jwt.encode(claims(), rsa_key, algorithm="RS256", headers={"kid": "unknown"}), "invalid"),
    ("no key named, of several", jwt.encode(claims(), rsa_key, algorithm="RS256"), "invalid"),
    ("key of its own in the header",
     jwt.encode(claims(), other_rsa, algorithm="RS256",
                headers={"kid": "rsa", "jwk": json.loads(RSAAlgorithm.to_jwk(other_rsa.public_key()))}), "invalid"),
    ("crit", ed_raw(b'{"alg":"EdDSA","kid":"ed","crit":["exp"],"exp":1}', plain), "invalid"),
    ("b64", ed_raw(b'{"alg":"EdDSA","kid":"ed","b64":true}', plain), "invalid"),
    ("nested", ed_raw(b'{"alg":"EdDSA","kid":"ed","cty":"JWT"}', plain), "invalid"),
    ("compressed", ed_raw(b'{"alg":"EdDSA","kid":"ed","zip":"DEF"}', plain), "invalid"),
    ("a logout token", ed_raw(b'{"alg":"EdDSA","kid":"ed","typ":"logout+jwt"}', plain), "invalid"),
    ("two sub", ed_raw(b'{"alg":"EdDSA","kid":"ed"}', plain[:-1] + b', "sub": "user-2"}'), "invalid"),
    ("two alg", ed_raw(b'{"alg":"none","alg":"EdDSA","kid":"ed"}', plain), "invalid"),
    ("two members, one spelt with an escape",
     ed_raw(b'{"alg":"EdDSA","kid":"ed"}', plain[:-1] + b', "s\\u0075b": "user-2"}'), "invalid"),
    ("two members further down", ed_raw(b'{"alg":"EdDSA","kid":"ed"}', plain[:-1] + b', "x": {"a":1,"a":2}}'), "invalid"),
    ("claims are a list", ed_raw(b'{"alg":"EdDSA","kid":"ed"}', b"[" + plain + b"]"), "invalid"),
    ("something after the claims", ed_raw(b'{"alg":"EdDSA","kid":"ed"}', plain + b"{}"), "invalid"),
    ("claims that are no UTF-8", ed_raw(b'{"alg":"EdDSA","kid":"ed"}', plain[:-1] + b', "x": "\xff"}'), "invalid"),
    ("half a surrogate", ed_raw(b'{"alg":"EdDSA","kid":"ed"}', json.dumps(claims(sub="\ud800")).encode()), "invalid"),
    ("a byte order mark", ed_raw(b'{"alg":"EdDSA","kid":"ed"}', b"\xef\xbb\xbf" + plain), "invalid"),
    ("deep nesting", ed_raw(b'{"alg":"EdDSA","kid":"ed"}',
                            plain[:-1] + b', "x": ' + b"[" * 1000 + b"]" * 1000 + b"}"), "invalid"),
    ("sub of a look-alike letter", with_rsa(sub="us\u0435r-1"), "another"),
    ("sub with an accent composed", with_rsa(sub="\u00e9"), "another"),
    ("padding", ed_good + "==", "invalid"),
    ("bits of no byte in the signature", ed_good[:-1] + other_spelling(ed_good.split(".")[2])[-1], "invalid"),
    ("standard alphabet", ed_good.replace("-", "+").replace("_", "/")
     if ("-" in ed_good or "_" in ed_good) else ed_good + "+", "invalid"),
    ("a line feed within", f"{head}\n.{body}.{signature}", "invalid"),
    ("a line feed at the end", good + "\n", "invalid"),
    ("a blank before", " " + good, "invalid"),
    ("two parts", f"{head}.{body}", "invalid"),
    ("four parts", good + ".", "invalid"),
    ("five parts", f"{good}.{body}.{signature}", "invalid"),
    ("no header", f".{body}.{signature}", "invalid"),
    ("no claims", f"{head}..{signature}", "invalid"),
    ("no signature", f"{head}.{body}.", "invalid"),
    ("truncated", good[:-10], "invalid"),
    ("claims of another token", f"{head}.{with_rsa(sub='user-2').split('.')[1]}.{signature}", "invalid"),
    ("signature in DER", raw(b'{"alg":"ES256","kid":"ec"}', plain,
                             lambda m: ec_key.sign(m, ec.ECDSA(__import__("cryptography").hazmat.primitives.hashes.SHA256()))),
     "invalid"),
    ("signature of zeros", raw(b'{"alg":"ES256","kid":"ec"}', plain, lambda m: bytes(64)), "invalid"),
    ("JSON serialization", json.dumps({"payload": body, "protected": head, "signature": signature}), "invalid"),
    ("huge", with_rsa(x="y" * 9000), "invalid"),
    ("empty", "", "invalid"),
    ("dots", "..", "invalid"),
]

print(json.dumps({"now": NOW, "jwks": jwks, "tokens": [
    {"name": name, "token": token, "expected": expected} for name, token, expected in tokens]}, indent=1))
