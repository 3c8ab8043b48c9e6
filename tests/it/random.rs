//! Random numbers that can be had again: a test prints its seed, and `LACUNA_SEED` repeats it.

use crate::figures;

/// What the tests of every change draw from.
const SEED: u64 = 20_260_101;

/// SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
pub struct Random(u64);

impl Random {
    /// From `LACUNA_SEED`. Without it, the tests of every change draw the same each time, and `scripts/reliability` draws
    /// anew. The seed is printed.
    pub fn seeded() -> (Self, u64) {
        let given = std::env::var("LACUNA_SEED").ok().map(|text| text.parse().expect("LACUNA_SEED is a number"));
        let seed = given.unwrap_or_else(|| match figures::are_kept() {
            true => u64::from_be_bytes(lacuna::crypto::rng::make_bytes().expect("random bytes")),
            false => SEED,
        });
        println!("LACUNA_SEED={seed}");
        (Self(seed), seed)
    }

    /// From a number.
    pub fn from(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
