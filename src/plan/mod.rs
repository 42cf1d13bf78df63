//! Profile × host × call → [`Plan`]: everything is decided, and everything that can be wrong is found, before any
//! process exists.

mod model;

pub use model::*;
