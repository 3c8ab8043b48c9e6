//! Countries and territories.

use crate::catalog::text::Text;
use crate::catalog::validate::Reason;

/// The officially assigned ISO 3166-1 alpha-2 codes, in order.
const COUNTRIES: &str = "\
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC \
CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD \
GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH \
KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW \
MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC \
SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY \
UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

/// The code of a country or territory in upper case, if it is one.
pub fn canonical(code: &str) -> Result<Text, Reason> {
    if code.len() != 2 || !code.bytes().all(|b| b.is_ascii_alphabetic()) {
        return Err(Reason::Malformed);
    }
    let upper = Text::build(2, code.chars().map(|c| c.to_ascii_uppercase()));
    if COUNTRIES.split(' ').any(|known| known == upper.expose()) { Ok(upper) } else { Err(Reason::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole_and_in_order() {
        let codes: Vec<&str> = COUNTRIES.split(' ').collect();
        assert_eq!(codes.len(), 249);
        assert!(codes.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn assigned_codes_are_accepted_in_upper_case() {
        for (given, stored) in [("DE", "DE"), ("ge", "GE"), ("tW", "TW"), ("PS", "PS"), ("AX", "AX")] {
            assert_eq!(canonical(given).expect("a country").expose(), stored);
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for code in ["", "D", "DEU", "UK", "EU", "XX", "ZZ", "AN", "SU", "D ", "A D", "49", "ÄÖ", "\0\0"] {
            assert!(canonical(code).is_err(), "{code:?}");
        }
    }
}
