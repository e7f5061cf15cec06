//! The command line of `runner`, which runs machine-learning experiments described in TOML, and never the same stage twice.
//!
//! The rest of the program stands in the wings that this package uses: `lab`, `learn`, `kinds` and `report`.
//! `docs/architecture.md` has the whole picture.

pub mod cli;
