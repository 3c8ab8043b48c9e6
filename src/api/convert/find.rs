//! Looking for people: an identifier as it came, brought to its canonical form.

use super::super::proto;
use super::super::proto::identifier::Identifier as Given;
use super::item::whole;
use super::{At, Faults};
use crate::base::limits::{EXTERNAL_ID_BYTES_MAX, PAGE_SIZE_MAX};
use crate::catalog::class::Identifier;
use crate::catalog::classes::government_id::GovernmentIdType;
use crate::catalog::text::Text;
use crate::gate::refusal::{FaultReason, Refusal};
use crate::items::model::{FindPage, FindQuery, Match};

/// Whom to look for.
///
/// # Errors
/// Every fault of the request's form; an identifier that can be nobody's.
pub fn query(request: proto::FindSubjectsRequest) -> Result<FindQuery, Refusal> {
    let mut faults = Faults::default();
    let given = request.identifier.and_then(|identifier| identifier.identifier);
    let identifier = identifier(&mut faults, At::field("identifier"), given);
    if request.page_size as usize > PAGE_SIZE_MAX {
        faults.add(At::field("page_size"), FaultReason::Malformed);
    }
    let page_size = request.page_size;
    let page_token = faults.token(At::field("page_token"), request.page_token);
    whole(faults, identifier.map(|identifier| FindQuery { identifier, page_size, page_token }))
}

fn identifier(faults: &mut Faults, at: At<'_>, given: Option<Given>) -> Option<Identifier> {
    let (at, identifier) = match given {
        None => {
            faults.add(at, FaultReason::Required);
            return None;
        }
        Some(Given::GovernmentId(number)) => return document_number(faults, at.then("government_id"), number),
        // Taken over so that it is wiped.
        Some(Given::Email(text)) => {
            let text = required(faults, at.then("email"), text)?;
            (at.then("email"), Identifier::email(text.expose()))
        }
        Some(Given::Phone(text)) => {
            let text = required(faults, at.then("phone"), text)?;
            (at.then("phone"), Identifier::phone(text.expose()))
        }
        Some(Given::ExternalId(text)) => {
            let text = required(faults, at.then("external_id"), text)?;
            let fits = text.len() <= EXTERNAL_ID_BYTES_MAX;
            if !fits {
                faults.add(at.then("external_id"), FaultReason::TooLong);
                return None;
            }
            (at.then("external_id"), Some(Identifier::external_id(&text)))
        }
    };
    if identifier.is_none() {
        faults.add(at, FaultReason::Malformed);
    }
    identifier
}

fn document_number(faults: &mut Faults, at: At<'_>, number: proto::DocumentNumber) -> Option<Identifier> {
    let kind = faults.choice(at.then("type"), number.r#type, GovernmentIdType::from_code)?;
    if kind == GovernmentIdType::Unspecified {
        faults.add(at.then("type"), FaultReason::Required);
    }
    let country_code = required(faults, at.then("country_code"), number.country_code);
    let number = required(faults, at.then("number"), number.number);
    let (country_code, number) = country_code.zip(number).filter(|_| kind != GovernmentIdType::Unspecified)?;
    let identifier = Identifier::document_number(kind, country_code.expose(), number.expose());
    if identifier.is_none() {
        faults.add(at, FaultReason::Malformed);
    }
    identifier
}

fn required(faults: &mut Faults, at: At<'_>, text: String) -> Option<Text> {
    if text.is_empty() {
        faults.add(at, FaultReason::Required);
    }
    (!text.is_empty()).then(|| Text::new(text))
}

/// Who was found.
pub fn page(page: FindPage) -> proto::FindSubjectsResponse {
    let found = |Match { subject, item }: Match| proto::SubjectMatch {
        subject_id: subject.to_string(),
        item_id: item.map(|item| item.to_string()).unwrap_or_default(),
    };
    proto::FindSubjectsResponse {
        matches: page.matches.into_iter().map(found).collect(),
        next_page_token: page.next_page_token,
    }
}
