//! The `runner` program.

fn main() -> std::process::ExitCode {
    runner::cli::main()
}
