//! Names of files and folders, made from names of stages and experiments.

/// The longest name that file systems take, in bytes, less the endings that callers add.
const MAX_BYTES: usize = 200;

/// `text` as the name of one file: every character is replaced by `_` that may be special to file systems or shells (all but letters, digits
/// and those in `allowed`), so that it names nothing in another folder. The result has at most `limit` characters, at least one, and is
/// neither hidden nor a folder's own name (`.`, `..`).
pub fn clean_file_name(text: &str, allowed: &str, limit: usize) -> String {
    let clean = |c: char| if c.is_alphanumeric() || allowed.contains(c) { c } else { '_' };
    let mut name = String::new();
    for character in text.chars().map(clean).take(limit) {
        let character = if name.is_empty() && ['.', '-', ' '].contains(&character) {
            '_'
        } else {
            character
        };
        if name.len() + character.len_utf8() > MAX_BYTES {
            break;
        }
        name.push(character);
    }
    if name.is_empty() { "_".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_are_replaced_and_long_names_cut() {
        assert_eq!(clean_file_name("score[0] (seed=1)/é", "-_.=[]", 100), "score[0]__seed=1__é");
        assert_eq!(clean_file_name("a b, c", ", ", 4), "a b,");
        let long = clean_file_name(&"数".repeat(100), "", 100);
        assert_eq!(long.len(), 198, "in bytes");
    }

    #[test]
    fn a_name_stays_in_its_folder() {
        for (text, name) in [
            ("../../evil", "_._.._evil"),
            ("..", "_."),
            ("/etc/passwd", "_etc_passwd"),
            (".hidden", "_hidden"),
            ("-rf", "_rf"),
            ("", "_"),
        ] {
            assert_eq!(clean_file_name(text, "-_.=[]", 100), name, "{text}");
        }
    }
}
