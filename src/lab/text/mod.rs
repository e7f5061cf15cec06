//! Text for people: amounts, colours and aligned columns.

mod duration;
mod paint;
mod size;
mod table;

pub use duration::duration;
pub use paint::{Color, Paint};
pub use size::bytes;
pub use table::{Align, GAP, Table};

/// `1 stage`, `14 stages`.
pub fn stages(count: usize) -> String {
    format!("{count} {}", if count == 1 { "stage" } else { "stages" })
}
