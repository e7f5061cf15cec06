//! Names of files and folders, made from names of stages.

/// `text` with every character replaced by `_` that may be special to file systems or shells: all but letters, digits and those in
/// `allowed`. The result has at most `limit` characters.
pub fn clean_file_name(text: &str, allowed: &str, limit: usize) -> String {
    let clean = |c: char| if c.is_alphanumeric() || allowed.contains(c) { c } else { '_' };
    text.chars().map(clean).take(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_are_replaced_and_long_names_cut() {
        assert_eq!(clean_file_name("score[0] (seed=1)/é", "-_.=[]", 100), "score[0]__seed=1__é");
        assert_eq!(clean_file_name("a b, c", ", ", 4), "a b,");
    }
}
