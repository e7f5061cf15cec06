//! The rotary positions in a `config.json`.
//!
//! Up to Transformers 4 they are in `rope_theta` and `rope_scaling`, since 5 in `rope_parameters`. In both, the kind of the scaling is
//! `rope_type`, or in older files `type`; a file that was saved again may have both.

use super::family::Family;
use super::fields::Fields;
use super::{LINEAR, LLAMA3, LONGROPE, YARN};
use crate::model::architecture::Architecture;
use crate::model::{Llama3Scaling, LongRope, ModelError, RopeScaling, Yarn};

const SCALING: &str = "rope_scaling";
const PARAMETERS: &str = "rope_parameters";
const FIRST_CONTEXT: &str = "original_max_position_embeddings";
const KNOWN_SCALINGS: &str = "\"default\", \"linear\", \"dynamic\", \"yarn\", \"llama3\" or \"longrope\"";

/// A kind of scaling that a file asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum ScalingKind {
    Linear,
    /// Scaled only in sequences longer than `max_position_embeddings`, which we do not compute.
    Dynamic,
    Yarn,
    Llama3,
    LongRope,
}

/// What a file says of the positions.
pub(super) struct Positions<'a> {
    pub(super) theta: f64,
    /// `max_position_embeddings`
    context: usize,
    /// The context of the first training.
    first_context: Option<usize>,
    /// The same where it stands apart from the scaling, or is the family's default there.
    first_apart: Option<usize>,
    /// Whether the scaling stands where Transformers 4 reads it too.
    is_old: bool,
    scaling: Option<(ScalingKind, Fields<'a>)>,
}

impl<'a> Positions<'a> {
    pub(super) fn read(fields: Fields<'a>, family: Family) -> Result<Self, ModelError> {
        let defaults = family.defaults();
        let (old, new) = (fields.object(SCALING)?, fields.object(PARAMETERS)?);
        for rope in [old, new].into_iter().flatten() {
            one_for_all_layers(rope)?;
            if rope.number("partial_rotary_factor")?.is_some_and(|share| share != 1.0) {
                return Err(rope.unsupported("partial_rotary_factor", "1"));
            }
        }
        let theta = theta(&[old, new, Some(fields)])?;
        let scaling = match old.or(new) {
            Some(rope) => kind(rope, family)?.map(|kind| (kind, rope)),
            None => None,
        };
        let context = fields.integer("max_position_embeddings")?.unwrap_or(defaults.context);
        // Phi-3 has the field apart from the others, and there it counts more.
        let first_apart = fields.integer(FIRST_CONTEXT)?.or(defaults.first_context);
        let first_within = match scaling {
            Some((kind, rope)) => first_within(kind, rope, context, first_apart)?,
            None => None,
        };
        Ok(Self {
            theta,
            context,
            first_context: first_apart.or(first_within),
            first_apart,
            is_old: old.is_some(),
            scaling,
        })
    }

    /// The longest sequence for which our positions are the file's: LongRoPE has other divisors in longer ones than those of the first
    /// training.
    pub(super) fn bound(&self) -> usize {
        match (self.scaling, self.first_context) {
            (Some((ScalingKind::LongRope, _)), Some(first)) => self.context.min(first),
            _ => self.context,
        }
    }

    /// The scaling, for heads of `head` numbers.
    pub(super) fn scaling(&self, head: usize) -> Result<Option<RopeScaling>, ModelError> {
        let Some((kind, rope)) = self.scaling else { return Ok(None) };
        let missing = |field: &str| rope.wrong(field, "is missing");
        let needed = |field: &str| rope.number(field)?.ok_or_else(|| missing(field));
        Ok(match kind {
            ScalingKind::Linear => Some(needed("factor")?).filter(|factor| *factor != 1.0).map(RopeScaling::Linear),
            ScalingKind::Dynamic => {
                let factor = needed("factor")?;
                if !is_positive(factor) {
                    return Err(rope.wrong("factor", format!("is {factor}, but must be a positive number")));
                }
                None
            }
            ScalingKind::Yarn => Some(RopeScaling::Yarn(yarn(
                rope,
                needed("factor")?,
                self.first_context.unwrap_or(self.context),
            )?)),
            ScalingKind::Llama3 => Some(RopeScaling::Llama3(Llama3Scaling {
                factor: needed("factor")?,
                low_freq_factor: needed("low_freq_factor")?,
                high_freq_factor: needed("high_freq_factor")?,
                original_context: self.first_context.ok_or_else(|| missing(FIRST_CONTEXT))?,
            })),
            ScalingKind::LongRope => Some(RopeScaling::LongRope(self.long_rope(rope, head)?)),
        })
    }

    fn long_rope(&self, rope: Fields<'_>, head: usize) -> Result<LongRope, ModelError> {
        let missing = |field: &str| rope.wrong(field, "is missing");
        let divisors = rope.numbers("short_factor")?.ok_or_else(|| missing("short_factor"))?;
        if divisors.len() != head / 2 || !divisors.iter().copied().all(is_positive) {
            let problem = format!("must be {} positive numbers, one for each pair of a head", head / 2);
            return Err(rope.wrong("short_factor", problem));
        }
        if let Some(field) = ["short_mscale", "long_mscale"]
            .into_iter()
            .find(|field| rope.value(field).is_some())
        {
            return Err(rope.unsupported(field, "null"));
        }
        let first = self.first_context.ok_or_else(|| missing(FIRST_CONTEXT))?;
        let magnitude = match rope.number("attention_factor")? {
            Some(written) => written,
            None => self.usual_magnitude(rope, first)?,
        };
        if !is_positive(magnitude) {
            return Err(rope.wrong("attention_factor", format!("is {magnitude}, but must be a positive number")));
        }
        Ok(LongRope { divisors, magnitude })
    }

    /// The magnitude of LongRoPE that Transformers computes where the file has none. Version 4 looks for the first context apart from the
    /// scaling only, and then computes the factor; version 5 takes both from the scaling.
    fn usual_magnitude(&self, rope: Fields<'_>, first: usize) -> Result<f64, ModelError> {
        let magnitude = |factor: f64, first: usize| {
            if factor <= 1.0 {
                1.0
            } else {
                (1.0 + libm::log(factor) / libm::log(first as f64)).sqrt()
            }
        };
        let written = rope.number("factor")?;
        let ratio = |first: usize| self.context as f64 / first as f64;
        let new = magnitude(written.unwrap_or(ratio(first)), first);
        let old = match (self.first_apart, written) {
            (Some(apart), _) => Some(magnitude(ratio(apart), apart)),
            (None, Some(factor)) => Some(magnitude(factor, self.context)),
            // Version 4 cannot read it.
            (None, None) => None,
        };
        match old.filter(|_| self.is_old) {
            Some(old) if (old / new - 1.0).abs() > 1e-9 => {
                let problem = format!("is missing, and versions of Transformers differ in what it is then: {old} or {new}");
                Err(rope.wrong("attention_factor", problem))
            }
            _ => Ok(new),
        }
    }
}

/// The context of the first training within a scaling. Where it stands apart too, versions of Transformers must take the same: 4 reads only
/// the one within (without it, YaRN takes the whole context), and 5 the one apart. (LongRoPE's is apart in both.)
fn first_within(kind: ScalingKind, rope: Fields<'_>, context: usize, apart: Option<usize>) -> Result<Option<usize>, ModelError> {
    let within = rope.integer(FIRST_CONTEXT)?;
    let old = match kind {
        ScalingKind::Yarn => Some(within.unwrap_or(context)),
        ScalingKind::Llama3 => within,
        ScalingKind::Linear | ScalingKind::Dynamic | ScalingKind::LongRope => None,
    };
    match (old, apart) {
        (Some(old), Some(apart)) if old != apart => {
            let found = within.map_or("is missing".to_owned(), |within| format!("is {within}"));
            let problem = format!(
                "{found}, but `{FIRST_CONTEXT}` apart from it is {apart}, and versions of Transformers differ in which of them counts"
            );
            Err(rope.wrong(FIRST_CONTEXT, problem))
        }
        _ => Ok(within),
    }
}

fn is_positive(number: f64) -> bool {
    number.is_finite() && number > 0.0
}

/// The base of the positions. Where several places have it, they must agree: versions of Transformers differ in which of them counts.
fn theta(places: &[Option<Fields<'_>>]) -> Result<f64, ModelError> {
    let mut found: Option<(f64, String)> = None;
    for fields in places.iter().flatten() {
        let Some(theta) = fields.number("rope_theta")? else { continue };
        match &found {
            Some((other, place)) if *other != theta => {
                return Err(fields.wrong("rope_theta", format!("is {theta}, but `{place}` is {other}")));
            }
            _ => found = Some((theta, fields.name("rope_theta"))),
        }
    }
    Ok(found.map_or(Architecture::default().rope_theta, |(theta, _)| theta))
}

/// Refuses settings of their own for some layers, which other families have.
fn one_for_all_layers(rope: Fields<'_>) -> Result<(), ModelError> {
    let nested = |field: &&str| rope.value(field).is_some_and(serde_json::Value::is_object);
    match rope.names().find(nested) {
        None => Ok(()),
        Some(field) => Err(rope.unsupported(field, "one setting for all layers")),
    }
}

/// The kind of scaling; `None` if there is none.
fn kind(rope: Fields<'_>, family: Family) -> Result<Option<ScalingKind>, ModelError> {
    let parse = |field: &str| {
        let Some(name) = rope.text(field)? else { return Ok(None) };
        Ok(Some(match name {
            "default" => None,
            LINEAR => Some(ScalingKind::Linear),
            "dynamic" => Some(ScalingKind::Dynamic),
            // Phi-3's files had several names for LongRoPE.
            YARN if family == Family::Phi3 => Some(ScalingKind::LongRope),
            LONGROPE | "su" => Some(ScalingKind::LongRope),
            YARN => Some(ScalingKind::Yarn),
            LLAMA3 => Some(ScalingKind::Llama3),
            _ => return Err(rope.unsupported(field, KNOWN_SCALINGS)),
        }))
    };
    match (parse("rope_type")?, parse("type")?) {
        (Some(new), Some(old)) if new != old => {
            let problem = "names another scaling than `type`, and versions of Transformers differ in which of them counts";
            Err(rope.wrong("rope_type", problem))
        }
        (Some(kind), _) | (None, Some(kind)) => Ok(kind),
        (None, None)
            if ["factor", "short_factor", "long_factor"]
                .iter()
                .any(|field| rope.value(field).is_some()) =>
        {
            Err(rope.wrong("rope_type", "is missing"))
        }
        (None, None) => Ok(None),
    }
}

fn yarn(rope: Fields<'_>, factor: f64, original_context: usize) -> Result<Yarn, ModelError> {
    // A 0 is as if left out.
    let number = |field: &str| Ok::<_, ModelError>(rope.number(field)?.filter(|number| *number != 0.0));
    let magnitude = match (rope.number("attention_factor")?, number("mscale")?, number("mscale_all_dim")?) {
        (Some(written), ..) => written,
        (None, Some(above), Some(below)) => Yarn::usual_magnitude(factor, above) / Yarn::usual_magnitude(factor, below),
        _ => Yarn::usual_magnitude(factor, 1.0),
    };
    Ok(Yarn {
        factor,
        fast: number("beta_fast")?.unwrap_or(Yarn::FAST),
        slow: number("beta_slow")?.unwrap_or(Yarn::SLOW),
        original_context,
        whole_pairs: rope.flag("truncate")?.unwrap_or(true),
        magnitude,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;

    /// The scaling of a file with these fields, for heads of 4 numbers.
    fn scaling(family: Family, fields: &Value) -> Result<Option<RopeScaling>, ModelError> {
        let fields = Fields::new(Path::new("config.json"), fields.as_object().unwrap());
        Positions::read(fields, family)?.scaling(4)
    }

    fn llama3(within: Option<usize>) -> Value {
        json!({"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, FIRST_CONTEXT: within})
    }

    fn long(factor: Option<f64>, within: Option<usize>) -> Value {
        json!({"type": "longrope", "short_factor": [1.05, 1.9], "long_factor": [4, 30], "factor": factor, FIRST_CONTEXT: within})
    }

    /// The first context that is read, or the magnitude of LongRoPE's positions.
    fn read(family: Family, fields: &Value) -> f64 {
        match scaling(family, fields).unwrap().unwrap() {
            RopeScaling::Llama3(scaling) => scaling.original_context as f64,
            RopeScaling::Yarn(yarn) => yarn.original_context as f64,
            RopeScaling::LongRope(long) => long.magnitude,
            RopeScaling::Linear(factor) => factor,
        }
    }

    #[test]
    fn the_first_context_is_read_where_versions_of_transformers_agree() {
        let llama = |fields: Value| read(Family::Llama, &fields);
        // Llama 3.1, and the same field in both places.
        let known = json!({"rope_scaling": llama3(Some(8192)), "max_position_embeddings": 131_072});
        assert_eq!(llama(known), 8192.0);
        assert_eq!(llama(json!({"rope_scaling": llama3(Some(64)), FIRST_CONTEXT: 64})), 64.0);
        let yarn = |within: Option<usize>| json!({"type": "yarn", "factor": 4, FIRST_CONTEXT: within});
        assert_eq!(llama(json!({"rope_scaling": yarn(Some(64)), FIRST_CONTEXT: 64})), 64.0);
        assert_eq!(
            llama(json!({"rope_scaling": yarn(None), "max_position_embeddings": 512, FIRST_CONTEXT: 512})),
            512.0
        );
        // Phi-3: √(1 + ln 32 / ln 4096) = √(17/12).
        let phi = json!({"rope_scaling": long(None, None), "max_position_embeddings": 131_072, FIRST_CONTEXT: 4096});
        let expected = (17.0f64 / 12.0).sqrt();
        assert!((read(Family::Phi3, &phi) - expected).abs() < 1e-12);
        let phi = json!({"rope_scaling": long(Some(32.0), None), "max_position_embeddings": 131_072});
        assert!((read(Family::Phi3, &phi) - expected).abs() < 1e-12);
        // As only version 5 reads it: √(1 + ln 4 / ln 64) = √(4/3).
        let new = json!({"rope_parameters": long(Some(4.0), Some(64)), "max_position_embeddings": 1024});
        assert!((llama(new) - (4.0f64 / 3.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn where_versions_of_transformers_differ_a_scaling_is_refused() {
        let yarn = |within: Option<usize>| json!({"type": "yarn", "factor": 4, FIRST_CONTEXT: within});
        let messages = [
            json!({"rope_scaling": llama3(Some(64)), FIRST_CONTEXT: 128}),
            json!({"rope_scaling": yarn(Some(64)), FIRST_CONTEXT: 128}),
            json!({"rope_scaling": yarn(None), "max_position_embeddings": 1024, FIRST_CONTEXT: 128}),
            json!({"rope_scaling": long(Some(4.0), None), "max_position_embeddings": 1024, FIRST_CONTEXT: 64}),
            json!({"rope_scaling": long(Some(16.0), Some(64)), "max_position_embeddings": 1024}),
        ]
        .map(|fields| scaling(Family::Llama, &fields).unwrap_err().to_string());
        let [contexts @ .., by_factor, by_context] = messages;
        insta::assert_snapshot!(contexts.join("\n"), @r"
        config.json: `rope_scaling.original_max_position_embeddings` is 64, but `original_max_position_embeddings` apart from it is 128, and versions of Transformers differ in which of them counts
        config.json: `rope_scaling.original_max_position_embeddings` is 64, but `original_max_position_embeddings` apart from it is 128, and versions of Transformers differ in which of them counts
        config.json: `rope_scaling.original_max_position_embeddings` is missing, but `original_max_position_embeddings` apart from it is 128, and versions of Transformers differ in which of them counts
        ");
        // √(1 + ln 16 / ln 64) or √(1 + ln 4 / ln 64); √(1 + ln 16 / ln 1024) or √(1 + ln 16 / ln 64).
        for (said, numbers) in [(by_factor, ["1.29099", "1.15470"]), (by_context, ["1.18321", "1.29099"])] {
            assert!(
                said.starts_with("config.json: `rope_scaling.attention_factor` is missing, and versions"),
                "{said}"
            );
            assert!(numbers.iter().all(|number| said.contains(number)), "{said}");
        }
    }
}
