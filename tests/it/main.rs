//! Facts about the whole product: its structure, and the real program under faults.

mod architecture;
mod cli;
mod crash;
mod program;
mod start_up;
