//! What is durable in every sink, per partition, the sums that must balance, and whether too much fails.
//!
//! May depend on: `alert`. `book`, `breaker`, `expired` and `latency` are pure; the [`Ledger`] handle is shared by threads and does no I/O.
//!
//! **Invariant:** the watermark of a partition never passes a batch that some sink has not acknowledged.
//! **Invariant:** when a batch is settled, alerts = archived + skipped + dead-lettered; anything else is a defect and is kept
//! as [`Totals::imbalance`], so that the end of the run can say so.

mod book;
mod breaker;
mod expired;
mod handle;
mod latency;

pub use book::{Book, Handled, SinkId, Totals};
pub use breaker::{Breaker, Trip};
pub use handle::Ledger;
pub use latency::{Latency, Percentiles};
