//! What the fuzz targets do with the fuzzer's bytes. Nothing that comes from elsewhere may end the program, or be believed unchecked.
//!
//! ```sh
//! cargo +nightly fuzz run algebra_answer -- -max_total_time=600
//! ```

mod change;
pub mod files;
mod memory;
mod pieces;
pub mod server;
mod small;
pub mod store;
pub mod tasks;

#[global_allocator]
static ALLOCATOR: memory::Counted = memory::Counted;
