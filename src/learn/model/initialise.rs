//! Random initial weights.

use super::{Array, ModelShape, Weights};
use crate::seed::Stream;

/// Initial standard deviation of matrices and embeddings.
const INITIAL_DEVIATION: f64 = 0.02;

/// The initial weights for `seed`.
///
/// Norms are 1 and biases 0. Other weights are normal with deviation 0.02. For the two projections of a layer that add to the residual
/// stream it is divided by √(2 · layers), so that the variance does not grow with depth (GPT-2). Each tensor has its own random stream,
/// named after it, so adding or removing a tensor does not change the others.
pub fn initialise(shape: &ModelShape, seed: u64) -> Weights {
    let residual = INITIAL_DEVIATION / libm::sqrt(2.0 * shape.layers as f64);
    let parameters = shape.parameters().into_iter();
    parameters
        .map(|(name, dimensions)| {
            let count = dimensions.iter().product();
            let data = if name.ends_with(".bias") {
                vec![0.0; count]
            } else if dimensions.len() == 1 {
                vec![1.0; count]
            } else {
                let projects_back = name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight");
                let deviation = if projects_back { residual } else { INITIAL_DEVIATION };
                let mut stream = Stream::new(seed, &format!("initialise/{name}"));
                (0..count).map(|_| (stream.normal() * deviation) as f32).collect()
            };
            let array = Array { shape: dimensions, data };
            (name, array)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Architecture;

    fn deviation(array: &Array) -> f64 {
        let sum: f64 = array.data.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        (sum / array.data.len() as f64).sqrt()
    }

    #[test]
    fn deviations_are_as_promised() {
        let weights = initialise(&Architecture::default().shape(60).unwrap(), 1);
        let of = |name: &str| deviation(&weights[name]);
        assert!((of("model.embed_tokens.weight") - 0.02).abs() < 0.001);
        assert!((of("model.layers.1.mlp.down_proj.weight") - 0.01).abs() < 0.0005);
        assert!((of("model.layers.0.self_attn.o_proj.weight") - 0.01).abs() < 0.0005);
        assert!((of("model.norm.weight") - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_tensor_more_leaves_the_others_as_they_are() {
        let tied = initialise(&Architecture::default().shape(60).unwrap(), 1);
        let untied = Architecture {
            tied: false,
            ..Architecture::default()
        };
        let untied = initialise(&untied.shape(60).unwrap(), 1);
        assert_eq!(untied.len(), tied.len() + 1);
        assert!(tied.iter().all(|(name, array)| untied[name] == *array));
        let other = initialise(&Architecture::default().shape(60).unwrap(), 2);
        assert_ne!(other["model.embed_tokens.weight"], tied["model.embed_tokens.weight"]);
    }
}
