//! Published vectors, tokens that common libraries made, malicious ones, and random bytes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::check::{self, Fault, Person, Trust};
use super::jwks::{DEV_KEY_ID, KeySet, KeySetError};
use super::jwt;
use crate::base::limits::{END_USER_FRESH_MAX, END_USER_KEYS_MAX};
use crate::base::secret::Secret;
use crate::base::time::Timestamp;
use crate::crypto::sign::Signer;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn trust(prefix: &str) -> Trust {
    let own = str::to_owned;
    Trust { issuer: own("https://id.example.com"), audience: own("lacuna"), subject_prefix: own(prefix) }
}

fn keys(json: &Value) -> Result<KeySet, KeySetError> {
    KeySet::parse(json.to_string().as_bytes())
}

fn verify(token: &str, keys: &KeySet, trust: &Trust, now: Timestamp) -> Result<Person, Fault> {
    check::verify(&check::read(token)?, keys, trust, now)
}

/// RFC 7515, appendices A.2 and A.3, and RFC 8037, appendix A.4: keys, tokens, and that a bit makes a difference.
#[test]
fn published_signatures_verify() {
    let joe = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let a2 = json!({ "kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-\
        Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSH\
        SXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DW\
        NmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ" });
    let a2_signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGb\
        ds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN93\
        83LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlV\
        mtVrBp0igcN_IoypGlUPQGe77Rw";
    let a3 = json!({ "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" });
    let a3_signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let a4 = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    let a4_payload = "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let a4_signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    for (key, header, payload, signature) in [
        (a2, "eyJhbGciOiJSUzI1NiJ9", joe, a2_signature),
        (a3, "eyJhbGciOiJFUzI1NiJ9", joe, a3_signature),
        (a4, "eyJhbGciOiJFZERTQSJ9", a4_payload, a4_signature),
    ] {
        let keys = keys(&json!({ "keys": [key] })).expect("a key set");
        let key = keys.find(None).expect("the only key");
        let signed = format!("{header}.{payload}");
        let signature = jwt::decode(signature).expect("base64url");
        assert!(key.verify(signed.as_bytes(), &signature).is_ok(), "{header}");
        for at in [0, signature.len() / 2, signature.len() - 1] {
            let mut other = signature.clone();
            other[at] ^= 1;
            assert!(key.verify(signed.as_bytes(), &other).is_err(), "{header}, byte {at}");
        }
        assert!(key.verify(format!("{signed}A").as_bytes(), &signature).is_err());
    }
    // The published key of RFC 8037, A.1, signs what A.4 says.
    let seed = jwt::decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").expect("base64url");
    let signer = Signer::from_seed(&Secret::from_slice(&seed).expect("32 bytes"));
    let signature = signer.sign(format!("eyJhbGciOiJFZERTQSJ9.{a4_payload}").as_bytes());
    assert_eq!(URL_SAFE_NO_PAD.encode(signature), a4_signature);
}

#[test]
fn tokens_of_common_libraries_and_malicious_ones_get_what_is_due() {
    let file: Value =
        serde_json::from_str(include_str!("../../tests/vectors/end-user-tokens.json")).expect("the vectors");
    let now = Timestamp::from_millis(file["now"].as_i64().expect("a time") * 1000);
    let keys = keys(&file["jwks"]).expect("a key set");
    assert_eq!(keys.len(), 3, "the keys that may not be used are left out");
    let tokens = file["tokens"].as_array().expect("tokens");
    for token in tokens {
        let text = |name: &str| token[name].as_str().expect("a text");
        let got = match verify(text("token"), &keys, &trust(""), now) {
            Ok(person) if person.external_id().expose() == "user-1" => "good",
            Ok(_) => "another",
            Err(Fault::Expired) => "expired",
            Err(Fault::Invalid) => "invalid",
        };
        assert_eq!(got, text("expected"), "{}", text("name"));
    }
    assert!(tokens.len() > 90);
}

/// An issuer whose tokens are made here.
struct Issuer(Signer);

impl Issuer {
    fn new(seed: u8) -> Self {
        Self(Signer::from_seed(&Secret::copied(&[seed; 32])))
    }

    fn jwk(&self, id: Option<&str>) -> Value {
        let mut key = json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(self.0.public()) });
        if let Some(id) = id {
            key["kid"] = id.into();
        }
        key
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes())))
    }
}

fn claims(sub: &str, issued: i64) -> Value {
    json!({ "iss": "https://id.example.com", "aud": "lacuna", "sub": sub, "iat": issued, "exp": issued + 900 })
}

const SECONDS: i64 = NOW.as_millis() / 1000;

#[test]
fn a_person_is_named_under_the_issuers_prefix() {
    let issuer = Issuer::new(1);
    let keys = keys(&json!({ "keys": [issuer.jwk(None)] })).expect("a key set");
    let token = issuer.token(&json!({ "alg": "EdDSA" }), &claims("user-1", SECONDS));
    let person = verify(&token, &keys, &trust("staff:"), NOW).expect("good");
    assert_eq!(person.external_id().expose(), "staff:user-1");
    let long = issuer.token(&json!({ "alg": "EdDSA" }), &claims(&"x".repeat(251), SECONDS));
    assert!(verify(&long, &keys, &trust("12345"), NOW).is_ok());
    assert_eq!(verify(&long, &keys, &trust("123456"), NOW).err(), Some(Fault::Invalid));
}

#[test]
fn a_token_is_fresh_for_a_while_after_the_sign_in() {
    let issuer = Issuer::new(1);
    let keys = keys(&json!({ "keys": [issuer.jwk(None)] })).expect("a key set");
    let fresh = |changes: &[(&str, i64)]| {
        let mut all = claims("user-1", SECONDS);
        for (name, seconds) in changes {
            all[name] = (SECONDS - seconds).into();
        }
        let token = issuer.token(&json!({ "alg": "EdDSA" }), &all);
        verify(&token, &keys, &trust(""), NOW).expect("good").is_fresh(NOW)
    };
    let max = END_USER_FRESH_MAX.as_secs() as i64;
    for (changes, expected) in [
        (&[("iat", max)][..], true),
        (&[("iat", max + 1)], false),
        (&[("auth_time", max)], true),
        (&[("auth_time", max + 1)], false),
        (&[("iat", max + 1), ("auth_time", 0)], false),
    ] {
        assert_eq!(fresh(changes), expected, "{changes:?}");
    }
}

#[test]
fn a_key_is_found_by_its_name_and_never_tried() {
    let (first, second) = (Issuer::new(1), Issuer::new(2));
    let all = keys(&json!({ "keys": [first.jwk(Some("1")), second.jwk(Some("2"))] })).expect("a key set");
    let token = |id: Value| first.token(&json!({ "alg": "EdDSA", "kid": id }), &claims("user-1", SECONDS));
    assert!(verify(&token("1".into()), &all, &trust(""), NOW).is_ok());
    for id in ["2".into(), "3".into(), "".into(), Value::Null, json!(1), "1".repeat(300).into()] {
        assert_eq!(verify(&token(id.clone()), &all, &trust(""), NOW).err(), Some(Fault::Invalid), "{id}");
    }
    let unnamed = first.token(&json!({ "alg": "EdDSA" }), &claims("user-1", SECONDS));
    assert_eq!(verify(&unnamed, &all, &trust(""), NOW).err(), Some(Fault::Invalid));
    let only = keys(&json!({ "keys": [first.jwk(Some("1"))] })).expect("a key set");
    assert!(verify(&unnamed, &only, &trust(""), NOW).is_ok(), "there is one key only");
}

#[test]
fn key_sets_are_refused_whole_or_read_strictly() {
    let issuer = Issuer::new(1);
    let with = |name: &str, value: Value| {
        let mut key = issuer.jwk(Some("1"));
        key[name] = value;
        key
    };
    let many: Vec<Value> = (0..=END_USER_KEYS_MAX).map(|number| issuer.jwk(Some(&number.to_string()))).collect();
    for (listed, expected) in [
        (json!([]), KeySetError::NoKey),
        (json!([with("use", "enc".into())]), KeySetError::NoKey),
        (json!([with("key_ops", json!(["sign"]))]), KeySetError::NoKey),
        (json!([with("alg", "RS256".into())]), KeySetError::NoKey),
        (json!([with("alg", "HS256".into())]), KeySetError::NoKey),
        (json!([with("crv", "X25519".into())]), KeySetError::NoKey),
        (json!([with("x", "AAAA".into())]), KeySetError::NoKey),
        (json!([with("x", "!".into())]), KeySetError::Malformed),
        (json!([with("x", 1.into())]), KeySetError::Malformed),
        (json!([with("kid", 1.into())]), KeySetError::Malformed),
        (json!([with("kty", Value::Null)]), KeySetError::Malformed),
        (json!(["key"]), KeySetError::Malformed),
        (json!("keys"), KeySetError::Malformed),
        (json!([with("d", "AAAA".into())]), KeySetError::Secret),
        (json!([issuer.jwk(Some("1")), { "kty": "oct", "k": "AAAA" }]), KeySetError::Secret),
        (json!([issuer.jwk(Some("1")), issuer.jwk(Some("1"))]), KeySetError::Ambiguous),
        (json!([issuer.jwk(Some("1")), issuer.jwk(None)]), KeySetError::Ambiguous),
        (json!([issuer.jwk(None), issuer.jwk(None)]), KeySetError::Ambiguous),
        (json!(many), KeySetError::TooMany),
    ] {
        assert_eq!(keys(&json!({ "keys": listed })), Err(expected), "{listed}");
    }
    for text in ["", "[]", "{}", "{\"keys\": [], \"keys\": []}", "null", "{\"keys\": {}}"] {
        assert_eq!(KeySet::parse(text.as_bytes()), Err(KeySetError::Malformed), "{text}");
    }
    let sound = [with("use", "sig".into()), with("key_ops", json!(["verify"])), with("alg", "EdDSA".into())];
    for key in sound {
        assert_eq!(keys(&json!({ "keys": [key] })).map(|keys| keys.is_of_dev()), Ok(false));
    }
    assert!(keys(&json!({ "keys": [issuer.jwk(Some(DEV_KEY_ID))] })).expect("a key set").is_of_dev());
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text: String, bytes: Vec<u8>) {
        let _ = check::read(&text);
        let _ = KeySet::parse(&bytes);
    }

    #[test]
    fn any_parts_are_read_or_refused(header: Vec<u8>, claims: Vec<u8>, signature: Vec<u8>) {
        let parts = [header, claims, signature].map(|part| URL_SAFE_NO_PAD.encode(part));
        let _ = check::read(&parts.join("."));
    }

    /// Whatever byte is changed, and whatever claims are said: nobody is let in without the issuer's signature.
    #[test]
    fn a_changed_token_is_never_good(at in 0usize..400, byte: u8) {
        let issuer = Issuer::new(1);
        let keys = keys(&json!({ "keys": [issuer.jwk(None)] })).expect("a key set");
        let token = issuer.token(&json!({ "alg": "EdDSA" }), &claims("user-1", SECONDS));
        let mut changed = token.clone().into_bytes();
        let at = at % changed.len();
        changed[at] = byte;
        if let Ok(changed) = String::from_utf8(changed) {
            let good = verify(&changed, &keys, &trust(""), NOW).is_ok();
            prop_assert_eq!(good, changed == token);
        }
    }
}
