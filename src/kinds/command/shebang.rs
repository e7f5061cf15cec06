//! What the first bytes of a file ask for when it is executed: the interpreter of a script, the loader of a program.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The part of a file that is looked at: the kernel takes less of a script, and a program names its loader at its beginning.
const START_LENGTH: u64 = 4096;

/// The beginning of a 64-bit program with little-endian numbers.
const ELF: &[u8] = b"\x7fELF\x02\x01";

/// The type of the part of a program that names its loader.
const LOADER_PART: u32 = 3;

/// The first line of a script.
pub(super) struct Shebang {
    pub(super) interpreter: String,
    /// Its one argument.
    pub(super) rest: String,
    pub(super) ends_in_return: bool,
}

/// The program that `env` in a first line is asked for.
pub(super) enum AskedOfEnv<'a> {
    Program(&'a str),
    /// A program with arguments, which `env` takes as one name.
    WithArguments(&'a str),
}

impl Shebang {
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        let line = start.strip_prefix(b"#!")?;
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let (line, ends_in_return) = line.strip_suffix(b"\r").map_or((line, false), |line| (line, true));
        let line = String::from_utf8_lossy(line);
        let line = line.trim_matches([' ', '\t']);
        let (interpreter, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        Some(Self {
            interpreter: interpreter.to_owned(),
            rest: rest.trim_start_matches([' ', '\t']).to_owned(),
            ends_in_return,
        })
    }

    /// `None` where the interpreter is not `env`, or what it is asked for is not clear.
    pub(super) fn asked_of_env(&self) -> Option<AskedOfEnv<'_>> {
        if Path::new(&self.interpreter).file_name()? != "env" {
            return None;
        }
        let rest = self.rest.as_str();
        if let Some(words) = rest.strip_prefix("-S").or_else(|| rest.strip_prefix("--split-string=")) {
            let program = words.split_whitespace().find(|word| !word.contains('='))?;
            return (!program.starts_with('-')).then_some(AskedOfEnv::Program(program));
        }
        if rest.is_empty() || rest.starts_with('-') || rest.contains('=') {
            return None;
        }
        let has_arguments = rest.contains(char::is_whitespace);
        Some(if has_arguments {
            AskedOfEnv::WithArguments(rest)
        } else {
            AskedOfEnv::Program(rest)
        })
    }
}

/// Whether a file is a script: its first line names its interpreter.
pub(super) fn is_script(path: &Path) -> bool {
    start_of(path).is_some_and(|start| start.starts_with(b"#!"))
}

/// The first bytes of a file. A pipe has none, and is not waited for.
pub(super) fn start_of(path: &Path) -> Option<Vec<u8>> {
    let mut start = Vec::new();
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    file.take(START_LENGTH).read_to_end(&mut start).ok()?;
    Some(start)
}

/// The loader that a program asks for: `/lib64/ld-linux-x86-64.so.2`.
pub(super) fn loader(start: &[u8]) -> Option<String> {
    if !start.starts_with(ELF) {
        return None;
    }
    let (parts, size, count) = (number(start, 0x20, 8)?, number(start, 0x36, 2)?, number(start, 0x38, 2)?);
    let part = |index: usize| {
        let part = parts.checked_add(index.checked_mul(size)?)?;
        if number(start, part, 4)? != LOADER_PART as usize {
            return None;
        }
        let (from, bytes) = (
            number(start, part.checked_add(0x08)?, 8)?,
            number(start, part.checked_add(0x20)?, 8)?,
        );
        let name = start.get(from..from.checked_add(bytes)?)?;
        let name = name.split(|byte| *byte == 0).next()?;
        String::from_utf8(name.to_vec()).ok()
    };
    (0..count).find_map(part)
}

/// The number in some bytes from `from` on.
fn number(bytes: &[u8], from: usize, length: usize) -> Option<usize> {
    let bytes = bytes.get(from..from.checked_add(length)?)?;
    let number = bytes.iter().rev().fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
    usize::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that asks for this loader.
    fn program(loader: &[u8]) -> Vec<u8> {
        let mut start = vec![0; 0x100];
        start[..6].copy_from_slice(ELF);
        start[0x20] = 0x40;
        (start[0x36], start[0x38]) = (0x38, 2);
        let part = 0x40 + 0x38;
        (start[part], start[part + 0x08], start[part + 0x20]) = (3, 0xc0, loader.len() as u8);
        start[0xc0..0xc0 + loader.len()].copy_from_slice(loader);
        start
    }

    #[test]
    fn the_loader_of_a_program_is_read() {
        let start = program(b"/lib/ld.so\0");
        assert_eq!(loader(&start), Some("/lib/ld.so".to_owned()));
        // Whatever is damaged, it is no panic.
        for place in 0..start.len() {
            let mut damaged = start.clone();
            damaged[place] = 0xff;
            let _ = loader(&damaged);
            let _ = loader(&start[..place]);
        }
        assert_eq!(loader(b"#!/bin/sh\n"), None);
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        assert!(loader(&start_of(Path::new("/proc/self/exe")).unwrap()).is_some_and(|path| Path::new(&path).exists()));
    }

    #[test]
    fn a_pipe_has_no_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(start_of(&pipe), None);
        assert!(!is_script(&pipe));
    }

    #[test]
    fn the_first_line_is_read_as_the_kernel_does() {
        let read = |text: &str| {
            let found = Shebang::of(text.as_bytes()).unwrap();
            (found.interpreter, found.rest, found.ends_in_return)
        };
        assert_eq!(read("#! /bin/sh -e \nx"), ("/bin/sh".into(), "-e".into(), false));
        assert_eq!(
            read("#!/usr/bin/env\tpython3 -u\r\n"),
            ("/usr/bin/env".into(), "python3 -u".into(), true)
        );
        assert!(Shebang::of(b" #!/bin/sh\n").is_none());
    }
}
