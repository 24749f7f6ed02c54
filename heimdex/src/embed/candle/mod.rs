//! Models on candle.

mod bert;
mod dual;
mod encoder;
mod math;
mod ops;
mod weights;

#[cfg(test)]
mod tests;

pub(super) use bert::{Bert, limits as bert_limits};
pub(super) use dual::Dual;
