//! The kinds of field that classes are made of: their canonical forms and their rules.
//!
//! A kind knows nothing of the class it is used in. INVARIANT: the canonical form of a canonical form is itself.

pub mod card_number;
pub mod check_digit;
pub mod country;
pub mod date;
pub mod decimal;
pub mod digits;
pub mod domain_name;
pub mod email;
pub mod ip_address;
pub mod language;
pub mod phone;
pub mod record;

/// A closed list of choices, each with the permanent number under which it is stored.
macro_rules! choices {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $code:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$item_doc])* $item,)* }

        impl $name {
            /// Every choice, in the order of the contract.
            pub const ALL: &[Self] = &[$(Self::$item),*];

            /// The number under which it is stored; that of the contract.
            pub const fn code(self) -> u8 {
                match self { $(Self::$item => $code,)* }
            }

            /// The choice of that number.
            pub fn from_code(code: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|choice| choice.code() == code)
            }
        }
    };
}
pub(super) use choices;

choices! {
    /// Where an address or a number is used.
    ContactKind {
        /// Not stated.
        #[default]
        Unspecified = 0,
        /// Private.
        Home = 1,
        /// At work.
        Work = 2,
        /// For invoices.
        Billing = 3,
        /// Anything else; the label says what.
        Other = 4,
    }
}
