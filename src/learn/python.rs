//! What Python makes of texts and numbers, where results must be the same as those of programs in Python.

/// Whether Python's `str.isspace` holds: white space, and the separators of files, groups, records and units.
pub fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// What `str` of Python gives for a number: the shortest text that is this number, with an exponent of at least two digits for very
/// large and very small ones (`1.0`, `1e+16`, `1e-05`).
pub fn float_text(number: f64) -> String {
    let written = format!("{number:?}").to_lowercase();
    let Some((mantissa, exponent)) = written.split_once('e') else {
        return written;
    };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}
