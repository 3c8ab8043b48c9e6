//! Class `contact`.

use super::super::super::proto;
use super::super::{At, Faults, moved, time};
use super::postal_address::{self, contact_kind};
use super::{date, shown_date};
use crate::catalog::classes::Contact;
use crate::catalog::classes::contact::{EmailAddress, PhoneNumber};
use crate::catalog::text::Text;

pub(super) fn given(faults: &mut Faults, at: At<'_>, contact: proto::Contact) -> Contact {
    let emails = contact.emails.into_iter().enumerate();
    let phones = contact.phones.into_iter().enumerate();
    let addresses = contact.addresses.into_iter().enumerate();
    Contact {
        full_name: Text::new(contact.full_name),
        given_name: Text::new(contact.given_name),
        family_name: Text::new(contact.family_name),
        emails: emails.map(|(i, email)| email_address(faults, at.then("emails").index(i), email)).collect(),
        phones: phones.map(|(i, phone)| phone_number(faults, at.then("phones").index(i), phone)).collect(),
        addresses: addresses.map(|(i, a)| postal_address::given(faults, at.then("addresses").index(i), a)).collect(),
        birth_date: contact.birth_date.as_ref().map(date),
        language_code: Text::new(contact.language_code),
    }
}

fn email_address(faults: &mut Faults, at: At<'_>, email: proto::EmailAddress) -> EmailAddress {
    EmailAddress {
        address: Text::new(email.address),
        kind: contact_kind(faults, at, email.kind),
        label: Text::new(email.label),
        primary: email.primary,
        verify_time: faults.time(at.then("verify_time"), email.verify_time),
    }
}

fn phone_number(faults: &mut Faults, at: At<'_>, phone: proto::PhoneNumber) -> PhoneNumber {
    PhoneNumber {
        number: Text::new(phone.number),
        kind: contact_kind(faults, at, phone.kind),
        label: Text::new(phone.label),
        primary: phone.primary,
        extension: Text::new(phone.extension),
        verify_time: faults.time(at.then("verify_time"), phone.verify_time),
    }
}

pub(super) fn shown(contact: Contact) -> proto::Contact {
    let email = |email: EmailAddress| proto::EmailAddress {
        address: moved(email.address),
        kind: email.kind.code().into(),
        label: moved(email.label),
        primary: email.primary,
        verify_time: email.verify_time.map(time),
    };
    let phone = |phone: PhoneNumber| proto::PhoneNumber {
        number: moved(phone.number),
        kind: phone.kind.code().into(),
        label: moved(phone.label),
        primary: phone.primary,
        extension: moved(phone.extension),
        verify_time: phone.verify_time.map(time),
    };
    proto::Contact {
        full_name: moved(contact.full_name),
        given_name: moved(contact.given_name),
        family_name: moved(contact.family_name),
        emails: contact.emails.into_iter().map(email).collect(),
        phones: contact.phones.into_iter().map(phone).collect(),
        addresses: contact.addresses.into_iter().map(postal_address::shown).collect(),
        birth_date: contact.birth_date.map(shown_date),
        language_code: moved(contact.language_code),
    }
}
