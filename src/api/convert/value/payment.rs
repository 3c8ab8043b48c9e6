//! Class `payment`.

use super::super::super::proto;
use super::super::{At, Faults, moved};
use super::postal_address;
use crate::catalog::classes::Payment;
use crate::catalog::classes::payment::CardBrand;
use crate::catalog::text::Text;

pub(super) fn given(faults: &mut Faults, at: At<'_>, payment: proto::Payment) -> Payment {
    let address = at.then("billing_address");
    Payment {
        processor: Text::new(payment.processor),
        token: Text::new(payment.token),
        brand: faults.choice(at.then("brand"), payment.brand, CardBrand::from_code).unwrap_or_default(),
        last_four: Text::new(payment.last_four),
        expiry_month: payment.expiry_month,
        expiry_year: payment.expiry_year,
        billing_address: payment.billing_address.map(|billing| postal_address::given(faults, address, billing)),
        cardholder_name: Text::new(payment.cardholder_name),
    }
}

pub(super) fn shown(payment: Payment) -> proto::Payment {
    proto::Payment {
        processor: moved(payment.processor),
        token: moved(payment.token),
        brand: payment.brand.code().into(),
        last_four: moved(payment.last_four),
        expiry_month: payment.expiry_month,
        expiry_year: payment.expiry_year,
        billing_address: payment.billing_address.map(postal_address::shown),
        cardholder_name: moved(payment.cardholder_name),
    }
}
