//! Controls a contestant's process.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::de::DeserializeOwned;

use crate::case::{Case, Task};
use crate::child::{Ready, Round};

/// One engine in a process of its own, ready to work.
pub struct Contestant {
    pub engine: &'static str,
    pub dtype: &'static str,
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Contestant {
    pub fn start(task: Task, case: &Case, engine: &'static str, dtype: &'static str, threads: usize) -> Self {
        let program = std::env::current_exe().expect("the path of this program");
        let mut command = Command::new(program);
        command.args(["child", task.name(), case.name, engine, dtype, &threads.to_string()]);
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process starts");
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut contestant = Self {
            engine,
            dtype,
            process,
            input,
            output,
        };
        let _: Ready = contestant.line();
        contestant
    }

    pub fn round(&mut self, steps: usize) -> Round {
        let input = self.input.as_mut().expect("open until dropped");
        writeln!(input, "{steps}").expect("the process reads");
        self.line()
    }

    fn line<T: DeserializeOwned>(&mut self) -> T {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the process writes");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{} {} ended early: {error}", self.engine, self.dtype))
    }
}

impl Drop for Contestant {
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.process.wait());
    }
}
