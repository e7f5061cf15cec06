#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| runner_fuzz::tasks::answer("gsm8k", data));
