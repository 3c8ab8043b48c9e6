//! IP addresses.

use std::net::IpAddr;

use crate::catalog::text::Text;
use crate::catalog::validate::Reason;

/// Bytes of an address as given, white space included; the longest has 45.
pub const BYTES_MAX: usize = 64;

/// The address in the one form of RFC 5952; an IPv4 address that is written as an IPv6 one is an IPv4 address. A port,
/// a prefix length, a zone and brackets are no part of one, nor are leading zeros of IPv4, which some read as octal.
pub fn canonical(address: &str) -> Result<Text, Reason> {
    let address: IpAddr = address.parse().map_err(|_| Reason::Malformed)?;
    Ok(Text::new(address.to_canonical().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_form() {
        for (given, stored) in [
            ("203.0.113.7", "203.0.113.7"),
            ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
            ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("::FFFF:cb00:7107", "203.0.113.7"),
            ("::", "::"),
            ("0:0:0:0:0:0:0:1", "::1"),
        ] {
            assert_eq!(canonical(given).expect("an address").expose(), stored);
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for address in [
            "",
            "localhost",
            "203.0.113",
            "203.0.113.256",
            "203.0.113.07",
            "0x7f.1",
            "203.0.113.7:443",
            "203.0.113.0/24",
            "[2001:db8::1]",
            "fe80::1%eth0",
            "2001:db8::1::2",
            "2001:db8",
            "１０.0.0.1",
            "١٠.0.0.1",
        ] {
            assert_eq!(canonical(address).err(), Some(Reason::Malformed), "{address:?}");
        }
    }
}
