//! What drives the time of a stage and the size of its outputs: forecasts scale earlier records by it.

use std::collections::BTreeMap;

use serde_json::Value;

/// How much a stage has to do, as far as it can be told before it runs. Only ratios count: a stage with twice the work of an earlier one of
/// its kind is thought to take twice its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// The unit of `work`: `rows`, `bytes`. Stages that count differently say little of each other.
    pub unit: &'static str,
    /// Proportional to the time that it takes, on one machine and with the same number of threads.
    pub work: f64,
    /// Proportional to the size of its outputs.
    pub size: f64,
}

/// Returns the effort of a stage, given its params as they are in its key and the sizes of its inputs; `None` when these do not determine it.
/// The params may be those of an earlier version of the kind.
pub type EffortOf = fn(&Value, &InputSizes) -> Option<Effort>;

/// The sizes in bytes of the artifacts at the inputs of a stage, as far as they are known: those of earlier records, or what a forecast says of
/// them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InputSizes(BTreeMap<String, Option<f64>>);

impl InputSizes {
    /// Adds an artifact at an input.
    pub fn add(&mut self, port: &str, bytes: Option<f64>) {
        let sum = self.0.entry(port.to_owned()).or_insert(Some(0.0));
        *sum = sum.zip(bytes).map(|(sum, bytes)| sum + bytes);
    }

    /// The bytes of all artifacts at an input, 0 where there are none; `None` where they are not known.
    pub fn at(&self, port: &str) -> Option<f64> {
        self.0.get(port).copied().unwrap_or(Some(0.0))
    }

    /// The bytes of all artifacts.
    pub fn all(&self) -> Option<f64> {
        self.0.values().copied().sum()
    }
}

impl Effort {
    /// That of stages which do as much as one another.
    pub fn one(unit: &'static str) -> Self {
        Self {
            unit,
            work: 1.0,
            size: 1.0,
        }
    }

    /// That of a stage which reads its inputs once, and writes a part of them or something of their size.
    pub fn of_inputs(_: &Value, inputs: &InputSizes) -> Option<Self> {
        let bytes = inputs.all()?;
        Some(Self {
            unit: "bytes",
            work: bytes,
            size: bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_unknown_input_makes_the_sum_unknown() {
        let mut sizes = InputSizes::default();
        assert_eq!((sizes.at("data"), sizes.all()), (Some(0.0), Some(0.0)));
        sizes.add("data", Some(3.0));
        sizes.add("data", Some(4.0));
        assert_eq!((sizes.at("data"), sizes.all()), (Some(7.0), Some(7.0)));
        sizes.add("model", None);
        assert_eq!((sizes.at("data"), sizes.at("model"), sizes.all()), (Some(7.0), None, None));
    }
}
