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
        // Phi-3 has the field apart from the others, and there it counts more.
        let first_context = match (fields.integer(FIRST_CONTEXT)?, scaling) {
            (None, Some((_, rope))) => rope.integer(FIRST_CONTEXT)?.or(defaults.first_context),
            (first, _) => first,
        };
        Ok(Self {
            theta,
            context: fields.integer("max_position_embeddings")?.unwrap_or(defaults.context),
            first_context,
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
        let factor = rope.number("factor")?.unwrap_or(self.context as f64 / first as f64);
        // The default of Transformers.
        let magnitude = match rope.number("attention_factor")? {
            Some(written) => written,
            None if factor <= 1.0 => 1.0,
            None => (1.0 + libm::log(factor) / libm::log(first as f64)).sqrt(),
        };
        if !is_positive(magnitude) {
            return Err(rope.wrong("attention_factor", format!("is {magnitude}, but must be a positive number")));
        }
        Ok(LongRope { divisors, magnitude })
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
