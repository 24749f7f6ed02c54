//! Models on candle.

mod bert;
mod dual;
mod encoder;
mod math;
mod ops;
mod weights;

#[cfg(test)]
mod tests;

pub(super) use bert::Bert;
pub(super) use dual::towers;
