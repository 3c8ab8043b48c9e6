//! The token of a person in a call's metadata: `authorization: Bearer ...` (RFC 6750, section 2.1).

use tonic::metadata::MetadataMap;

use crate::base::secret::PlainValue;
use crate::gate::end_users::Presented;

/// What the metadata carries to speak for a person. Whatever stands in `authorization` counts, also what is no token:
/// a call that tries to speak for somebody is never taken for one that does not.
pub(super) fn presented(metadata: &MetadataMap) -> Presented {
    let mut all = metadata.get_all("authorization").iter();
    match (all.next(), all.next()) {
        (None, _) => Presented::Nothing,
        (Some(only), None) => token(only.as_encoded_bytes()).map_or(Presented::Unreadable, Presented::Token),
        (Some(_), Some(_)) => Presented::Unreadable,
    }
}

fn token(value: &[u8]) -> Option<PlainValue> {
    let (scheme, token) = value.split_at_checked(SCHEME.len())?;
    let sound = scheme.eq_ignore_ascii_case(SCHEME) && !token.is_empty();
    sound.then(|| PlainValue::new(token.to_vec()))
}

const SCHEME: &[u8] = b"Bearer ";

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> &'static str {
        let mut metadata = MetadataMap::new();
        for value in values {
            metadata.append("authorization", value.parse().unwrap());
        }
        match presented(&metadata) {
            Presented::Nothing => "nothing",
            Presented::Unreadable => "unreadable",
            Presented::Token(token) if token.expose() == b"a.b.c" => "token",
            Presented::Token(_) => "another token",
        }
    }

    #[test]
    fn one_bearer_token_is_taken_and_nothing_is_passed_over() {
        for (values, expected) in [
            (&[][..], "nothing"),
            (&["Bearer a.b.c"], "token"),
            (&["bearer a.b.c"], "token"),
            (&["Bearer a.b.c", "Bearer a.b.c"], "unreadable"),
            (&["Basic a.b.c"], "unreadable"),
            (&["a.b.c"], "unreadable"),
            (&["Bearer "], "unreadable"),
            (&["Bearer"], "unreadable"),
            (&[""], "unreadable"),
            (&["Bearer  a.b.c"], "another token"),
            (&["Bearer a.b.c, Bearer a.b.c"], "another token"),
        ] {
            assert_eq!(of(values), expected, "{values:?}");
        }
    }
}
