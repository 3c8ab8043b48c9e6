//! The closed list of reasons why a call can be refused: numbers and names as in the contract, and in the audit log.

macro_rules! reasons {
    ($($about:literal $name:ident = $number:literal;)*) => {
        /// Why a call was refused or failed. Its number and meaning are permanent.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Reason { $(#[doc = $about] $name = $number,)* }

        impl Reason {
            /// Every reason, by number.
            pub const ALL: &[Reason] = &[$(Reason::$name),*];
        }
    };
}

include!(concat!(env!("OUT_DIR"), "/reason.rs"));

impl Reason {
    /// Its number in the contract.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The reason of a number.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.number() == number)
    }
}
