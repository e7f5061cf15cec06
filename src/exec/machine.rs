//! The machine, as far as a record and a plan need to know it.

use crate::store::{Machine, host};

/// This machine.
pub fn this() -> Machine {
    Machine {
        host: host(),
        cores: cores(),
        instruction_set: instruction_set().to_owned(),
        runner: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The widest vector instructions that the engines may use: results on machines of the same class have the same bits.
pub fn instruction_set() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f") {
            return "avx512";
        }
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            return "avx2";
        }
    }
    if cfg!(target_arch = "aarch64") { "neon" } else { "plain" }
}
