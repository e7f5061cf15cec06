//! What is filled in when a program starts: the placeholders in the words of its command line and in its variables.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::pattern::OutputPath;
use super::work_folder::WorkFolder;
use super::{CommandStage, inputs};
use lab::config::{ParamError, TemplatePiece, known, nearest};
use lab::source::SOURCE;
use lab::stage::{Argument, ProgramText, Stage, StageContext, StageError, Template, failed};

/// Those that do not depend on the stage's inputs and outputs.
const FIXED: [&str; 5] = ["stage.seed", "stage.threads", "stage.device", "stage.params", "scratch"];

/// Programs that read a word of their command line as code.
const SHELLS: [&str; 6] = ["sh", "bash", "dash", "zsh", "ksh", "fish"];

/// Programs that start the one among their words.
const STARTERS: [&str; 8] = ["env", "ionice", "nice", "nohup", "setsid", "stdbuf", "time", "timeout"];

/// Options of shells that are followed by a value.
const WITH_VALUE: [&str; 2] = ["--rcfile", "--init-file"];

/// A program with all that is filled in.
pub(super) struct FilledProgram {
    pub(super) run: Vec<Argument>,
    pub(super) env: BTreeMap<String, String>,
}

/// Refuses placeholders in the text of a shell: there, a path could be read as code.
///
/// # Errors
/// When there is one.
pub(super) fn check_shell(run: &[Argument]) -> Result<(), ParamError> {
    let Some(start) = shell_of(run) else { return Ok(()) };
    let Some((place, name)) = shell_text(run, start).and_then(|(place, template)| Some((place, template.placeholders().next()?))) else {
        return Ok(());
    };
    let shell = run.get(start).map_or_else(String::new, ToString::to_string);
    let message = format!(
        "`{{{name}}}` in the text of a shell could be read as code: pass it as a word of its own, which the shell calls `$1`: \
         `[\"{shell}\", \"-c\", \"wc -l \\\"$1\\\"\", \"{shell}\", \"{{{name}}}\"]`"
    );
    Err(ParamError::new(&place.to_string(), message).within("run"))
}

/// Whether a word is one of these programs, wherever it is installed.
fn is_one_of(word: &Argument, programs: &[&str]) -> bool {
    let word = word.to_string();
    word.rsplit('/').next().is_some_and(|name| programs.contains(&name))
}

/// The place of the shell that a command line starts, if it starts one.
fn shell_of(run: &[Argument]) -> Option<usize> {
    let starts_another = run.first().is_some_and(|first| is_one_of(first, &STARTERS));
    let mut words = run.iter().take(if starts_another { run.len() } else { 1 });
    words.position(|word| is_one_of(word, &SHELLS))
}

/// The word that the shell at `place` reads as code, if it has placeholders, and the place of that word.
fn shell_text(run: &[Argument], place: usize) -> Option<(usize, &Template)> {
    let words = run.get(place + 1..)?;
    let (mut has_code, mut has_value) = (false, false);
    for (number, word) in words.iter().enumerate() {
        if std::mem::take(&mut has_value) {
            continue;
        }
        match word {
            Argument::Text(word) if word.len() > 1 && word.starts_with(['-', '+']) && word != "--" => {
                let is_long = word.starts_with("--");
                has_code |= (!is_long && word.starts_with('-') && word.contains('c')) || word == "--command";
                has_value = WITH_VALUE.contains(&word.as_str()) || (!is_long && word.ends_with(['o', 'O']));
            }
            Argument::Text(word) if word == "--" => {}
            Argument::Template(template) if has_code => return Some((place + 1 + number, template)),
            // A script, or a text without placeholders.
            _ => return None,
        }
    }
    None
}

/// Checks the names of the placeholders of a stage with these inputs, given as the number of artifacts of each.
///
/// # Errors
/// When one is unknown, or has no value where it stands.
pub(super) fn check(stage: &CommandStage, inputs: &BTreeMap<String, usize>) -> Result<(), ParamError> {
    let checker = Checker::new(stage, inputs);
    for (place, word) in stage.run.iter().enumerate() {
        if let Argument::Template(template) = word {
            let checked = checker.names(template).and_then(|()| checker.counts(place, template));
            checked.map_err(|message| ParamError::new(&place.to_string(), message).within("run"))?;
        }
    }
    for (name, value) in &stage.env {
        if let Some(template) = value.as_template() {
            let checked = checker.names(template);
            checked.map_err(|message| ParamError::new(name, message).within("env"))?;
        }
    }
    Ok(())
}

struct Checker<'a> {
    stage: &'a CommandStage,
    inputs: &'a BTreeMap<String, usize>,
    /// All names that have a value.
    names: Vec<String>,
}

impl<'a> Checker<'a> {
    fn new(stage: &'a CommandStage, inputs: &'a BTreeMap<String, usize>) -> Self {
        let ports = inputs.keys().map(|name| format!("input.{name}"));
        let outputs = stage.outputs.keys().filter(|name| !is_found_by_pattern(stage, name));
        let outputs = outputs.map(|name| format!("output.{name}"));
        let names = ports.chain(outputs).chain(FIXED.map(str::to_owned)).collect();
        Self { stage, inputs, names }
    }

    fn names(&self, template: &Template) -> Result<(), String> {
        let is_unknown = |name: &&str| !self.names.iter().any(|known| known == name);
        let Some(name) = template.placeholders().find(is_unknown) else {
            return Ok(());
        };
        if name
            .strip_prefix("output.")
            .is_some_and(|name| is_found_by_pattern(self.stage, name))
        {
            return Err(format!(
                "`{{{name}}}` has no path before the program has run, since its `path` is a pattern: write the path as the program needs it"
            ));
        }
        let names = || self.names.iter().map(String::as_str);
        let what = match nearest(name, names()) {
            Some(meant) => format!("did you mean `{{{meant}}}`?"),
            None => format!("braces that are the text's own are doubled: `{{{{{name}}}}}`"),
        };
        Err(format!("nothing fills in `{{{name}}}` ({}); {what}", known(names())))
    }

    /// A word becomes one for each artifact of an input: of one input.
    fn counts(&self, place: usize, template: &Template) -> Result<(), String> {
        let mut several: Vec<(&str, usize)> = Vec::new();
        for name in template.placeholders().filter_map(|name| name.strip_prefix("input.")) {
            let count = self.inputs.get(name).copied().unwrap_or(1);
            if count > 1 && !several.iter().any(|(other, _)| *other == name) {
                several.push((name, count));
            }
        }
        match several.as_slice() {
            [(name, count), ..] if place == 0 => Err(format!("the program is one file, and the input `{name}` has {count}")),
            [(one, first), (other, second), ..] => Err(format!(
                "a word becomes one for each artifact of an input, and here are two: `{one}` with {first} and `{other}` with {second}"
            )),
            _ => Ok(()),
        }
    }
}

/// Whether the output is where a pattern finds it.
fn is_found_by_pattern(stage: &CommandStage, name: &str) -> bool {
    stage
        .declared_path(name)
        .is_some_and(|path| OutputPath::parse(path).is_ok_and(|path| path.plain().is_none()))
}

/// Fills in the placeholders of a stage.
///
/// # Errors
/// When one is unknown, or a path is no UTF-8.
pub(super) fn fill(stage: &CommandStage, context: &StageContext<'_>, place: &WorkFolder) -> Result<FilledProgram, StageError> {
    let filler = Filler::new(stage, context, place)?;
    make_parents(stage, context, place)?;
    let mut run = Vec::with_capacity(stage.run.len());
    for word in &stage.run {
        match word {
            Argument::Template(template) => run.extend(filler.words(template)?.into_iter().map(Argument::Text)),
            word => run.push(word.clone()),
        }
    }
    let value = |value: &ProgramText| match value {
        ProgramText::Text(text) => Ok(text.clone()),
        ProgramText::Template(template) => filler.filled(template, |values| values.join("\n")),
    };
    let env = stage.env.iter().map(|(name, text)| Ok((name.clone(), value(text)?)));
    let env = env.collect::<Result<_, StageError>>()?;
    Ok(FilledProgram { run, env })
}

/// Makes the folders of outputs that placeholders name. Programs write files where they are told to, and seldom make folders for them.
fn make_parents(stage: &CommandStage, context: &StageContext<'_>, place: &WorkFolder) -> Result<(), StageError> {
    let words = stage.run.iter().filter_map(|word| match word {
        Argument::Template(template) => Some(template),
        _ => None,
    });
    let templates = words.chain(stage.env.values().filter_map(ProgramText::as_template));
    for name in templates
        .flat_map(Template::placeholders)
        .filter_map(|name| name.strip_prefix("output."))
    {
        if let Some(folder) = stage.output_path(name, context, place).as_deref().and_then(Path::parent) {
            fs::create_dir_all(folder).map_err(|error| failed(format!("cannot make {}: {error}", folder.display())))?;
        }
    }
    Ok(())
}

/// The values of placeholders, by name; an input has one for each artifact.
struct Filler(BTreeMap<String, Vec<String>>);

impl Filler {
    fn new(stage: &CommandStage, context: &StageContext<'_>, place: &WorkFolder) -> Result<Self, StageError> {
        let mut values = BTreeMap::new();
        for (name, objects) in context.inputs.iter().filter(|(name, _)| *name != SOURCE) {
            let paths = inputs::artifact_paths(&place.inputs.join(name), objects.len());
            let paths: Vec<String> = paths.iter().map(|path| text(path)).collect::<Result<_, _>>()?;
            values.insert(format!("input.{name}"), paths);
        }
        for name in stage.outputs.keys() {
            if let Some(path) = stage.output_path(name, context, place) {
                values.insert(format!("output.{name}"), vec![text(&path)?]);
            }
        }
        let fixed = [
            context.seed.to_string(),
            context.threads.to_string(),
            context.device.to_owned(),
            text(&place.params)?,
            text(&place.kept)?,
        ];
        values.extend(FIXED.into_iter().zip(fixed).map(|(name, value)| (name.to_owned(), vec![value])));
        Ok(Self(values))
    }

    fn values(&self, name: &str) -> Result<&[String], StageError> {
        let values = self.0.get(name).map(Vec::as_slice);
        values.ok_or_else(|| failed(format!("nothing fills in `{{{name}}}`")))
    }

    /// One word for each artifact of the input that has several.
    fn words(&self, template: &Template) -> Result<Vec<String>, StageError> {
        let mut count = 1;
        for name in template.placeholders() {
            count = self.values(name)?.len().max(count);
        }
        let word = |number: usize| {
            self.filled(template, |values| {
                values.get(number).or(values.first()).map_or_else(String::new, String::clone)
            })
        };
        (0..count).map(word).collect()
    }

    fn filled(&self, template: &Template, value: impl Fn(&[String]) -> String) -> Result<String, StageError> {
        let pieces = template.pieces().into_iter().map(|piece| match piece {
            TemplatePiece::Text(text) => Ok(text.to_owned()),
            TemplatePiece::Placeholder(name) => Ok(value(self.values(name)?)),
        });
        pieces.collect()
    }
}

/// A path as text: words and variables are written into files and messages.
fn text(path: &Path) -> Result<String, StageError> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| failed(format!("the path {} is no UTF-8: use another store", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Argument {
        Argument::Template(Template::new(text))
    }

    fn words(words: &[&str]) -> Vec<Argument> {
        let word = |word: &&str| {
            if word.contains('{') {
                template(word)
            } else {
                Argument::Text((*word).to_owned())
            }
        };
        words.iter().map(word).collect()
    }

    #[test]
    fn code_of_a_shell_has_no_placeholders() {
        for refused in [
            &["sh", "-c", "cat {input.a}"] as &[&str],
            &["/bin/bash", "-lc", "cat {input.a}"],
            &["bash", "-euo", "pipefail", "-c", "cat {input.a}"],
            &["dash", "-c", "-e", "cat {input.a}"],
            &["bash", "--rcfile", "x", "-c", "--", "cat {input.a}"],
            &["fish", "--command", "cat {input.a}"],
            &["env", "A=1", "sh", "-c", "cat {input.a}"],
            &["/usr/bin/timeout", "5", "/bin/bash", "-ec", "cat {input.a}"],
        ] {
            assert!(check_shell(&words(refused)).is_err(), "{refused:?}");
        }
        for good in [
            &["sh", "-c", "cat \"$1\"", "sh", "{input.a}"] as &[&str],
            &["python3", "-c", "print('{input.a}')"],
            &["bash", "train.sh", "-c", "{input.a}"],
            &["sh", "{input.script}", "-c", "{input.a}"],
            &["bash", "--norc", "x.sh", "{input.a}"],
            &["{input.sh}", "-c", "{input.a}"],
            &["train", "--shell", "bash", "-c", "{input.a}"],
            &["env", "A=1", "train", "-c", "{input.a}"],
        ] {
            assert!(check_shell(&words(good)).is_ok(), "{good:?}");
        }
        let error = check_shell(&words(&["sh", "-c", "wc -l {input.data}"])).unwrap_err();
        assert_eq!(error.path, ["run", "2"]);
        insta::assert_snapshot!(error, @r#"`{input.data}` in the text of a shell could be read as code: pass it as a word of its own, which the shell calls `$1`: `["sh", "-c", "wc -l \"$1\"", "sh", "{input.data}"]`"#);
    }

    #[test]
    fn a_word_becomes_one_for_each_artifact() {
        let values = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect::<Vec<_>>();
        let filler = Filler(BTreeMap::from([
            ("input.a".to_owned(), values(&["/a/0", "/a/1"])),
            ("input.b".to_owned(), values(&["/b"])),
        ]));
        let words = |text: &str| filler.words(&Template::new(text)).unwrap();
        assert_eq!(words("{input.b}"), ["/b"]);
        assert_eq!(words("--x={input.a}:{input.b}{{}}"), ["--x=/a/0:/b{}", "--x=/a/1:/b{}"]);
        let lines = filler.filled(&Template::new("{input.a}"), |values| values.join("\n"));
        assert_eq!(lines.unwrap(), "/a/0\n/a/1");
        assert!(filler.words(&Template::new("{input.c}")).is_err());
    }
}
