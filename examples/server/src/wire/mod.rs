//! The shapes of requests and answers. What the core has a shape for goes as the core writes it; the
//! types that end in `Shape` only describe that in the OpenAPI document, and a test holds them to it.

mod accounts;
mod health;
mod search;
mod shapes;
mod uploads;
mod videos;

pub use accounts::*;
pub use health::*;
pub use search::*;
pub use shapes::*;
pub use uploads::*;
pub use videos::*;
