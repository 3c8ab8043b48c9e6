//! Facts about the whole product: its structure, and the real program under faults.

mod approvals;
mod architecture;
mod audit;
mod behaviour;
mod canary;
mod cli;
mod coverage;
mod crash;
mod figures;
mod full_disk;
mod group_crash;
mod hostile;
mod leaks;
mod program;
mod random;
mod raw;
mod reliability;
mod rollback;
mod samples;
mod start_up;
mod tamper;
mod unfit;
mod vault;
mod witness;
