//! What a row or an answer is measured by: steps, tokens, characters; and bounds on it.

use learn::dataset::Row;

/// A row with the lengths of its solution, or of a model's.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    pub row: &'a Row,
    pub steps: u32,
    /// Tokens that a model wrote; `None` for rows, which no tokenizer has read.
    pub tokens: Option<u32>,
    /// Characters of the solution.
    pub characters: usize,
}

impl<'a> Measured<'a> {
    /// A row with the lengths of its own solution.
    pub fn of(row: &'a Row) -> Self {
        Self {
            row,
            steps: row.step_num,
            tokens: None,
            characters: row.completion.chars().count(),
        }
    }
}

/// The smallest and the largest value of a length, named after it: `min_steps`, `max_steps`.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub names: [&'static str; 2],
    pub min: Option<u64>,
    pub max: Option<u64>,
}

impl Bounds {
    /// The bound that a value breaks.
    pub fn broken(&self, value: u64) -> Option<&'static str> {
        let [min, max] = self.names;
        match self {
            Self { min: Some(bound), .. } if value < *bound => Some(min),
            Self { max: Some(bound), .. } if value > *bound => Some(max),
            _ => None,
        }
    }

    /// What is wrong with the bounds: the name of one, and a message.
    pub fn problem(&self) -> Option<(&'static str, String)> {
        let (min, max) = (self.min?, self.max?);
        let [name, other] = self.names;
        (min > max).then(|| (name, format!("{min} is more than `{other} = {max}`: nothing would be kept")))
    }

    /// The names of the bounds that are set.
    pub fn set(&self) -> impl Iterator<Item = &'static str> {
        let is_set = [self.min.is_some(), self.max.is_some()];
        self.names
            .into_iter()
            .zip(is_set)
            .filter_map(|(name, is_set)| is_set.then_some(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_include_their_ends() {
        let bounds = |min, max| Bounds {
            names: ["min", "max"],
            min,
            max,
        };
        let broken = [1, 2, 3, 4].map(|value| bounds(Some(2), Some(3)).broken(value));
        assert_eq!(broken, [Some("min"), None, None, Some("max")]);
        assert_eq!(bounds(None, None).broken(0), None);
        assert_eq!(bounds(Some(2), None).set().collect::<Vec<_>>(), ["min"]);
        assert_eq!(bounds(Some(2), Some(2)).problem(), None);
        let (name, message) = bounds(Some(3), Some(2)).problem().unwrap();
        assert_eq!(format!("{name}: {message}"), "min: 3 is more than `max = 2`: nothing would be kept");
    }
}
