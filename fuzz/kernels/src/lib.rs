//! The engine's kernels, which have almost all of the project's unsafe code, with their tests and nothing else: small enough to be built
//! with a sanitizer, or to be run by an interpreter, in a minute. See `check`.

// Some functions are called only by the rest of the engine.
#![allow(dead_code, reason = "a test build uses what no other does")]

#[path = "."]
pub mod engine {
    #[path = "."]
    pub mod cpu {
        #[path = "../../../src/learn/engine/cpu/kernel/mod.rs"]
        pub mod kernel;

        #[cfg(test)]
        #[path = "../../../src/learn/engine/cpu/tests"]
        mod tests {
            mod amx;
            mod kernels;
        }
    }
}

#[path = "../../../src/learn/seed.rs"]
pub mod seed;
