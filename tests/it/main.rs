//! Facts about the whole product: its structure, and the real program under faults.

mod architecture;
mod canary;
mod coverage;
mod crash;
mod leaks;
mod program;
mod raw;
mod samples;
mod unfit;
mod vault;
