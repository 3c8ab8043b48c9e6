//! The service `Holds`: matters, their holds, and what they keep. One verb per file.
//!
//! Who keeps a version is decided in `keep`, and what an act of forgetting then does in `items::going`; here is what
//! people of the law ask for. INVARIANT: a hold protects from the moment PlaceHold returns, since the batch that stores it
//! comes before every batch that could forget what it covers, or after it, and then it is refused.

pub mod list;
pub mod matters;
pub mod model;
pub mod page;
pub mod place;
pub mod reasons;
pub mod release;
mod repeat;
mod view;
