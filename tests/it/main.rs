//! Facts about the whole product: its structure, and the real program under faults.

mod architecture;
mod crash;
mod program;
