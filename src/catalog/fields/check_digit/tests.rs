use super::{Numbering, holds};

const IDENTITY: &[Numbering] = &[Numbering::Identity];
const TAX: &[Numbering] = &[Numbering::Tax];
const BOTH: &[Numbering] = &[Numbering::Identity, Numbering::Tax];

/// Numbers that authorities, encyclopedias or validators of others publish as examples.
const EXAMPLES: &[(&str, &[Numbering], &str)] = &[
    ("BE", BOTH, "85073003328"),
    ("BE", BOTH, "17073003384"), // born from 2000 on
    ("BE", BOTH, "98472899765"), // BIS
    ("BE", BOTH, "01490700185"), // BIS, born from 2000 on
    ("BR", TAX, "52998224725"),
    ("CA", TAX, "123456782"),
    ("CH", BOTH, "7569217076985"),
    ("CH", BOTH, "7561234567897"),
    ("CL", TAX, "125319092"),
    ("CL", TAX, "760864285"),
    ("CN", BOTH, "11010519491231002X"),
    ("CZ", IDENTITY, "7103192745"),
    ("SK", IDENTITY, "7103192745"),
    ("EE", BOTH, "36805280109"),
    ("EE", BOTH, "37605030299"),
    ("LT", BOTH, "33309240064"),
    ("ES", BOTH, "12345678Z"),
    ("ES", BOTH, "X1234567L"),
    ("FI", BOTH, "131052308T"),
    ("FI", BOTH, "131052A308T"),
    ("FR", BOTH, "295109912611193"),
    ("FR", BOTH, "253072B07300470"),
    ("FR", BOTH, "253072A07300443"),
    ("GR", TAX, "094259216"),
    ("HR", BOTH, "33392005961"),
    ("HU", TAX, "8071592153"),
    ("IE", BOTH, "6433435F"),
    ("IE", BOTH, "6433435FT"),
    ("IE", BOTH, "6433435FW"),
    ("IE", BOTH, "6433435OA"),
    ("IE", BOTH, "6433435IH"),
    ("IL", BOTH, "039337423"),
    ("IN", IDENTITY, "234123412346"),
    ("IT", BOTH, "RCCMNL83S18D969H"),
    ("JP", BOTH, "621498320257"),
    ("NL", BOTH, "111222333"),
    ("NO", BOTH, "15108695088"),
    ("PL", BOTH, "44051401359"),
    ("PL", BOTH, "8567346215"),
    ("PT", IDENTITY, "000000000ZZ4"),
    ("PT", TAX, "501964843"),
    ("RO", BOTH, "1630615123457"),
    ("SE", BOTH, "8112189876"),
    ("SE", BOTH, "198112189876"),
    ("TH", BOTH, "1234545678781"),
    ("TH", BOTH, "3100600445635"),
    ("TR", BOTH, "10000000146"),
    ("TR", BOTH, "17291716060"),
    ("TW", BOTH, "A123456789"),
    ("ZA", IDENTITY, "7503305044089"),
];

/// The same with a slip.
const WRONG: &[(&str, &[Numbering], &str)] = &[
    ("BE", BOTH, "12345678901"),
    ("CH", BOTH, "7569217076984"),
    ("CL", TAX, "125319093"),
    ("CZ", IDENTITY, "7103192746"),
    ("EE", BOTH, "36805280108"),
    ("LT", BOTH, "33309240164"),
    ("FI", BOTH, "131052308U"),
    ("FR", BOTH, "295109912611199"),
    ("GR", TAX, "123456781"),
    ("HR", BOTH, "33392005962"),
    ("IE", BOTH, "6433435E"),
    ("IE", BOTH, "6433435VH"),
    ("IL", BOTH, "039337422"),
    ("IN", IDENTITY, "234123412347"),
    ("IT", BOTH, "RCCMNL83S18D969X"),
    ("JP", BOTH, "621498320258"),
    ("NO", BOTH, "15108695077"),
    ("PL", BOTH, "8567346216"),
    ("PT", IDENTITY, "000000000ZZ3"),
    ("PT", TAX, "501964842"),
    ("RO", BOTH, "1630615123458"),
    ("TH", BOTH, "1234545678789"),
    ("ZA", IDENTITY, "8503305044089"),
];

#[test]
fn published_examples_hold() {
    for (country, numberings, number) in EXAMPLES {
        assert!(numberings.iter().all(|numbering| holds(*numbering, country, number)), "{country} {number}");
    }
}

#[test]
fn published_examples_of_slips_do_not() {
    for (country, numberings, number) in WRONG {
        assert!(!numberings.iter().any(|numbering| holds(*numbering, country, number)), "{country} {number}");
    }
}

/// Where a slip is not noticed: outside the check, or another form, which is another number.
fn is_beyond(country: &str, number: &str, at: usize) -> bool {
    match (country, number.len()) {
        ("SE", 12) => at < 2,
        ("CH", _) => at < 3,
        ("FI", 11) => at == 6,
        ("FR", _) => number.contains(['A', 'B']) && (5..7).contains(&at),
        ("HU", _) => at == 0,
        ("EE", _) => number == "37605030299" && at == 0, // both rounds can come to one digit
        ("IT", _) => matches!(at, 0..6 | 8 | 11 | 15),
        ("TH", _) => matches!((number, at), ("1234545678781", 1 | 2) | ("3100600445635", 2)), // two rests, one digit
        ("PT", 12) => (9..11).contains(&at),
        ("IE", _) => at > 7,
        _ => false,
    }
}

#[test]
fn one_wrong_digit_is_noticed_everywhere() {
    for (country, numberings, number) in EXAMPLES {
        for at in (0..number.len()).filter(|at| !is_beyond(country, number, *at)) {
            let mut bytes = number.as_bytes().to_vec();
            bytes[at] = match bytes[at] {
                b'9' => b'8',
                b'8' if *country == "RO" && at == 0 => b'7',
                digit @ b'0'..=b'8' => digit + 1,
                b'X' if at == 0 => b'Y',
                b'A' => b'B',
                _ => b'A',
            };
            let changed = String::from_utf8(bytes).expect("still ASCII");
            let noticed = numberings.iter().all(|numbering| !holds(*numbering, country, &changed));
            assert!(noticed, "{country} {number} {changed}");
        }
    }
}

/// Numbers that exist and that no rule may refuse: other documents, older forms, other numberings.
#[test]
fn other_forms_and_other_countries_pass() {
    for (country, numberings, number) in [
        ("PL", BOTH, "ABC123456"),
        ("SE", BOTH, "12345678"),
        ("ES", BOTH, "AAA123456"),
        ("ES", BOTH, "K1234567L"),
        ("NL", BOTH, "SPECI2014"),
        ("DE", BOTH, "L01X00T47"),
        ("DE", TAX, "18181508155"), // a Steuernummer has as many digits as a Steuer-ID
        ("CN", BOTH, "E12345678"),
        ("ES", BOTH, ""),
        ("CN", BOTH, ""),
        ("FR", BOTH, "1"),
        ("FR", BOTH, "880692310285"), // identity card
        ("FR", BOTH, "X4RTBPFW4"),
        ("BE", BOTH, "590123456789"),   // identity card
        ("CZ", IDENTITY, "531231123"),  // before 1954
        ("CZ", IDENTITY, "7801233540"), // before 1985, rest 10
        ("CZ", TAX, "7103192746"),
        ("SK", TAX, "1020304051"),
        ("CH", BOTH, "1234567890123"),
        ("FI", BOTH, "XX1234567"),
        ("FI", TAX, "12345671"),
        ("GR", IDENTITY, "123456781"),
        ("IT", BOTH, "CA00000AA"),
        ("IT", BOTH, "12345678901"),
        ("IE", BOTH, "6433435"),
        ("IN", IDENTITY, "123412341234"),
        ("IN", TAX, "ABCDE1234F"),
        ("JP", BOTH, "AB12345678CD"),
        ("KR", BOTH, "9001011234567"),
        ("PT", IDENTITY, "501964842"),
        ("PT", TAX, "000000000ZZ3"),
        ("RO", BOTH, "9000000000000"),
        ("RO", BOTH, "RX123456"),
        ("HU", TAX, "1234567890"),
        ("HU", IDENTITY, "8071592154"),
        ("BR", IDENTITY, "20010023456"), // a state's own register
        ("CA", IDENTITY, "123456783"),
        ("CL", IDENTITY, "123456789"), // the card's own number
        ("ZA", TAX, "0123456789"),
        ("TW", BOTH, "AB12345678"),
        ("TH", BOTH, "12345"),
        ("NO", BOTH, "12345678"),
        ("LV", BOTH, "32345678901"),
        ("DK", BOTH, "0101011234"),
        ("GB", TAX, "QQ123456C"),
        ("US", TAX, "123456789"),
    ] {
        assert!(numberings.iter().all(|numbering| holds(*numbering, country, number)), "{country} {number}");
    }
}

#[test]
fn any_text_is_judged_without_a_panic() {
    let texts = ["", "0", "é", "日本語日本語", "12345678é", "X1234567é", "ÀÉÎÕÜÀÉÎ", "253072é7300443", "A12345678é"];
    let countries = EXAMPLES.iter().map(|(country, _, _)| *country).chain(["DE"]);
    for country in countries {
        for text in texts {
            for length in 0..=18 {
                for fill in ["9", "Z", "0A"] {
                    let text = text.to_owned() + &fill.repeat(length);
                    for numbering in BOTH {
                        let _ = holds(*numbering, country, &text);
                    }
                }
            }
        }
    }
}
