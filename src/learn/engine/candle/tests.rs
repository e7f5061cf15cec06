use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::llama::{Cache, Config, Llama, Llama3RopeConfig, Llama3RopeType};
use candle_transformers::models::{qwen2, qwen3};

use super::attention::CausalAttention;
use super::network::{Network, TokenInput};
use super::{CandleDecoder, CandleTrainer, tensors};
use crate::engine::{Batch, DecodingEngine, Feed, IGNORED, Optimizer, ScoredFeed, Target, TrainingEngine, reader};
use crate::model::{Architecture, Llama3Scaling, ModelShape, Places, RopeScaling, Weights, initialise};
use crate::seed::Stream;

const VOCABULARY: usize = 23;
const OPTIMIZER: Optimizer = Optimizer {
    beta1: 0.9,
    beta2: 0.98,
    epsilon: 1e-8,
    weight_decay: 0.1,
    clip: 1.0,
};

/// Two query heads share a key head, so that grouping is tested everywhere.
fn shape(lines: usize, columns: usize, tied: bool) -> ModelShape {
    let architecture = Architecture {
        width: 32,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        feed_forward: 48,
        lines,
        columns,
        tied,
        context: 80,
        ..Architecture::default()
    };
    architecture.shape(VOCABULARY).unwrap()
}

/// Biases, a separate width of heads, and slower pairs.
fn qwen(shape: &ModelShape) -> ModelShape {
    ModelShape {
        qkv_bias: true,
        head_dim: 12,
        rope_scaling: Some(RopeScaling::Llama3(SCALING)),
        ..shape.clone()
    }
}

/// Norms of queries and keys, and a separate width of heads.
fn with_norms(shape: &ModelShape) -> ModelShape {
    ModelShape {
        qk_norm: true,
        head_dim: 12,
        ..shape.clone()
    }
}

/// Places in the place of all other positions.
fn with_places(shape: &ModelShape) -> ModelShape {
    ModelShape {
        lines: 0,
        columns: 0,
        places: Some(Places { rows: 7, top: 3, wide: 0 }),
        ..shape.clone()
    }
}

/// Settings with which some pairs of a head of 8 do not change, some are slower and some are interpolated.
const SCALING: Llama3Scaling = Llama3Scaling {
    factor: 8.0,
    low_freq_factor: 1.0,
    high_freq_factor: 4.0,
    original_context: 128,
};

/// Ten times the usual initial weights, with which attention and norms hardly matter. Biases are not 0.
fn lively(shape: &ModelShape) -> Weights {
    let mut weights = initialise(shape, 5);
    let mut stream = Stream::new(5, "biases");
    let biases = weights.iter_mut().filter(|(name, _)| name.ends_with(".bias"));
    biases.for_each(|(_, array)| array.data.iter_mut().for_each(|x| *x = stream.normal() as f32));
    let norms = weights
        .iter_mut()
        .filter(|(name, _)| name.contains("q_norm") || name.contains("k_norm"));
    norms.for_each(|(_, array)| array.data.iter_mut().for_each(|x| *x += 0.5 * stream.normal() as f32));
    for array in weights.values_mut().filter(|array| array.shape.len() > 1) {
        array.data.iter_mut().for_each(|x| *x *= 10.0);
    }
    weights
}

fn batch(shape: &ModelShape, lengths: &[usize], seed: u64) -> Batch {
    let mut stream = Stream::new(seed, "batch");
    let tokens = lengths.iter().sum();
    let mut draw = |bound: usize| -> Vec<u32> { (0..tokens).map(|_| stream.below(bound as u64) as u32).collect() };
    let mut targets = draw(VOCABULARY);
    targets.iter_mut().step_by(3).for_each(|target| *target = IGNORED);
    Batch {
        tokens: draw(VOCABULARY),
        targets,
        lines: if shape.lines > 0 { draw(shape.lines) } else { vec![] },
        columns: if shape.columns > 0 { draw(shape.columns) } else { vec![] },
        places: if shape.places.is_some() {
            [(); 3].map(|()| draw(shape.place_rows())).concat()
        } else {
            vec![]
        },
        lengths: lengths.to_vec(),
    }
}

fn trainer(shape: &ModelShape, weights: &Weights, threads: usize) -> CandleTrainer {
    CandleTrainer::new(shape, weights, OPTIMIZER, &Device::Cpu, threads).unwrap()
}

fn loss(shape: &ModelShape, weights: &Weights, batches: &[Batch]) -> f64 {
    trainer(shape, weights, 1).gradients(batches).unwrap().0
}

/// All logits of one sequence. [tokens, vocabulary]
fn full(shape: &ModelShape, weights: &Weights, batch: &Batch) -> Vec<Vec<f32>> {
    let tensors = tensors(shape, weights, &Device::Cpu).unwrap();
    let network = Network::new(shape, &Device::Cpu, |name| Ok(tensors[name].clone())).unwrap();
    let row = |values: &[u32]| Tensor::new(values, &Device::Cpu).unwrap();
    let input = TokenInput {
        tokens: row(&batch.tokens),
        lines: row(&batch.lines),
        columns: row(&batch.columns),
        places: row(&batch.places).reshape(((), 3)).unwrap(),
    };
    let mut x = network.embed(&input).unwrap();
    let causal = CausalAttention::new(&network, 1, batch.tokens.len(), &Device::Cpu).unwrap();
    for layer in &network.layers {
        x = causal.layer(&network, layer, &x).unwrap();
    }
    network.logits(&x).unwrap().to_vec2().unwrap()
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn every_gradient_is_the_slope_of_the_loss() {
    let plain = shape(7, 9, true);
    for shape in [
        plain.clone(),
        shape(7, 9, false),
        qwen(&plain),
        with_norms(&plain),
        with_places(&plain),
    ] {
        let weights = lively(&shape);
        // Two batches: accumulated gradients are those of the mean over all trained tokens.
        let batches = [batch(&shape, &[5, 11, 8], 1), batch(&shape, &[14], 2)];
        let (_, gradients) = trainer(&shape, &weights, 1).gradients(&batches).unwrap();
        assert_eq!(gradients.len(), weights.len());
        for (name, gradient) in gradients {
            let gradient: Vec<f32> = gradient.flatten_all().unwrap().to_vec1().unwrap();
            // Along the gradient the slope is its norm, far above the noise of f32.
            let norm = gradient.iter().map(|g| f64::from(g * g)).sum::<f64>().sqrt();
            assert!(norm > 1e-4, "{name} has a gradient of {norm}");
            let moved = |by: f64| {
                let mut weights = weights.clone();
                let data = &mut weights.get_mut(&name).unwrap().data;
                data.iter_mut()
                    .zip(&gradient)
                    .for_each(|(w, g)| *w += (by * f64::from(*g) / norm) as f32);
                loss(&shape, &weights, &batches)
            };
            let slope = (moved(0.01) - moved(-0.01)) / 0.02;
            assert!((slope / norm - 1.0).abs() < 0.01, "{name}: slope {slope}, gradient {norm}");
        }
    }
}

#[test]
fn logits_are_those_of_candle_transformers() {
    let scaled = Llama3RopeConfig {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 128,
        rope_type: Llama3RopeType::Llama3,
    };
    for (tied, rope_scaling) in [(true, None), (false, Some(scaled))] {
        let shape = ModelShape {
            rope_scaling: rope_scaling.as_ref().map(|_| RopeScaling::Llama3(SCALING)),
            ..shape(0, 0, tied)
        };
        let weights = lively(&shape);
        let config = Config {
            hidden_size: shape.width,
            intermediate_size: shape.feed_forward,
            vocab_size: shape.vocabulary,
            num_hidden_layers: shape.layers,
            num_attention_heads: shape.heads,
            num_key_value_heads: shape.kv_heads,
            use_flash_attn: false,
            rms_norm_eps: shape.norm_epsilon,
            rope_theta: shape.rope_theta as f32,
            bos_token_id: None,
            eos_token_id: None,
            rope_scaling,
            max_position_embeddings: shape.context,
            tie_word_embeddings: tied,
        };
        let named: HashMap<_, _> = tensors(&shape, &weights, &Device::Cpu).unwrap().into_iter().collect();
        let builder = VarBuilder::from_tensors(named, DType::F32, &Device::Cpu);
        let llama = Llama::load(builder, &config).unwrap();
        let batch = batch(&shape, &[40], 3);
        let ours = full(&shape, &weights, &batch);
        for last in [1, 7, 40] {
            let mut cache = Cache::new(false, DType::F32, &config, &Device::Cpu).unwrap();
            let tokens = Tensor::new(&batch.tokens[..last], &Device::Cpu).unwrap().unsqueeze(0).unwrap();
            let theirs = llama.forward(&tokens, 0, &mut cache).unwrap();
            let theirs: Vec<f32> = theirs.flatten_all().unwrap().to_vec1().unwrap();
            assert!(theirs.iter().any(|logit| logit.abs() > 1.0));
            assert!(distance(&theirs, &ours[last - 1]) < 1e-4);
        }
    }
}

#[test]
fn logits_with_biases_are_those_of_candle_transformers() {
    let shape = ModelShape {
        qkv_bias: true,
        ..shape(0, 0, true)
    };
    let weights = lively(&shape);
    let config = qwen2::Config {
        vocab_size: shape.vocabulary,
        hidden_size: shape.width,
        intermediate_size: shape.feed_forward,
        num_hidden_layers: shape.layers,
        num_attention_heads: shape.heads,
        num_key_value_heads: shape.kv_heads,
        max_position_embeddings: shape.context,
        sliding_window: shape.context,
        max_window_layers: 0,
        tie_word_embeddings: true,
        rope_theta: shape.rope_theta,
        rms_norm_eps: shape.norm_epsilon,
        use_sliding_window: false,
        hidden_act: candle_nn::Activation::Silu,
    };
    let named: HashMap<_, _> = tensors(&shape, &weights, &Device::Cpu).unwrap().into_iter().collect();
    let builder = VarBuilder::from_tensors(named, DType::F32, &Device::Cpu);
    let mut qwen = qwen2::ModelForCausalLM::new(&config, builder).unwrap();
    let batch = batch(&shape, &[40], 3);
    let ours = full(&shape, &weights, &batch);
    let tokens = Tensor::new(batch.tokens.as_slice(), &Device::Cpu).unwrap().unsqueeze(0).unwrap();
    let theirs: Vec<f32> = qwen.forward(&tokens, 0).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    assert!(theirs.iter().any(|logit| logit.abs() > 1.0));
    assert!(distance(&theirs, &ours[39]) < 1e-4);
}

#[test]
fn logits_with_norms_of_queries_and_keys_are_those_of_candle_transformers() {
    let shape = with_norms(&shape(0, 0, true));
    let weights = lively(&shape);
    let config = qwen3::Config {
        vocab_size: shape.vocabulary,
        hidden_size: shape.width,
        intermediate_size: shape.feed_forward,
        num_hidden_layers: shape.layers,
        num_attention_heads: shape.heads,
        head_dim: shape.head_dim,
        attention_bias: false,
        num_key_value_heads: shape.kv_heads,
        max_position_embeddings: shape.context,
        sliding_window: None,
        max_window_layers: 0,
        tie_word_embeddings: true,
        rope_theta: shape.rope_theta,
        rms_norm_eps: shape.norm_epsilon,
        use_sliding_window: false,
        hidden_act: candle_nn::Activation::Silu,
    };
    let named: HashMap<_, _> = tensors(&shape, &weights, &Device::Cpu).unwrap().into_iter().collect();
    let builder = VarBuilder::from_tensors(named, DType::F32, &Device::Cpu);
    let mut qwen = qwen3::ModelForCausalLM::new(&config, builder).unwrap();
    let batch = batch(&shape, &[40], 3);
    let ours = full(&shape, &weights, &batch);
    let tokens = Tensor::new(batch.tokens.as_slice(), &Device::Cpu).unwrap().unsqueeze(0).unwrap();
    let theirs: Vec<f32> = qwen.forward(&tokens, 0).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    assert!(theirs.iter().any(|logit| logit.abs() > 1.0));
    assert!(distance(&theirs, &ours[39]) < 1e-4);
}

fn feed<'a>(batch: &'a Batch, slot: usize, start: usize, end: usize) -> Feed<'a> {
    batch.feed(slot, 0, start..end)
}

#[test]
fn cached_decoding_gives_the_logits_of_a_full_pass() {
    let shape = ModelShape {
        qk_norm: true,
        ..qwen(&shape(7, 9, true))
    };
    let weights = lively(&shape);
    let batch = batch(&shape, &[80], 4);
    let expected = full(&shape, &weights, &batch);
    let mut decoder = CandleDecoder::new(&shape, &weights, 3, &Device::Cpu, 1).unwrap();
    // First a longer sequence, whose cached values must not be visible later.
    decoder.feed(&[feed(&batch, 1, 0, 80)]).unwrap();
    let mut start = 0;
    for end in [30, 31, 32, 33, 70, 71, 80] {
        let logits = decoder.feed(&[feed(&batch, 1, start, end)]).unwrap();
        let difference = distance(logits, &expected[end - 1]);
        assert!(difference < 1e-4, "{end}: {difference}");
        start = end;
    }
}

#[test]
fn scores_are_the_softmax_of_a_full_pass_however_they_are_cut() {
    let shape = shape(7, 9, true);
    let weights = lively(&shape);
    let batch = batch(&shape, &[80], 6);
    let expected = full(&shape, &weights, &batch);
    // Two tokens after most places, the same and another one.
    let targets = |start: usize, end: usize| -> Vec<Target> {
        let places = (start..end).filter(|place| place % 5 > 0);
        let pair = |place: usize| {
            [place as u32 % 23, (place as u32 * 7) % 23].map(|token| Target {
                after: place - start,
                token,
            })
        };
        places.flat_map(pair).collect()
    };
    let mut before = None;
    for cuts in [vec![80], vec![1, 31, 80], vec![30, 31, 64, 65, 80]] {
        let mut decoder = CandleDecoder::new(&shape, &weights, 2, &Device::Cpu, 2).unwrap();
        let (mut scores, mut start) = (Vec::new(), 0);
        for end in cuts {
            let targets = targets(start, end);
            let other = ScoredFeed {
                feed: feed(&batch, 0, 0, 3),
                targets: &[],
            };
            let scored = ScoredFeed {
                feed: feed(&batch, 1, start, end),
                targets: &targets,
            };
            scores.extend(decoder.score(&[other, scored]).unwrap());
            start = end;
        }
        for (score, Target { after, token }) in scores.iter().zip(targets(0, 80)) {
            let logits = &expected[after];
            let exact = f64::from(logits[token as usize]) - logits.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln();
            assert!((score.log_probability - exact).abs() < 1e-4, "{after}: {score:?}, not {exact}");
            assert_eq!(score.is_likeliest, logits.iter().all(|x| *x <= logits[token as usize]));
        }
        assert!(scores.len() == 128 && scores.iter().any(|score| score.is_likeliest));
        assert_eq!(before.get_or_insert(scores.clone()), &scores);
    }
    let mut decoder = CandleDecoder::new(&shape, &weights, 1, &Device::Cpu, 1).unwrap();
    assert_eq!(decoder.score(&[]).unwrap(), []);
}

#[test]
fn a_row_does_not_depend_on_the_others() {
    let shape = shape(7, 9, true);
    let weights = lively(&shape);
    let batches: Vec<Batch> = (0..70).map(|seed| batch(&shape, &[3 + seed as usize], seed)).collect();
    let last = |batch: &Batch| batch.tokens.len() - 1;
    let mut many = CandleDecoder::new(&shape, &weights, 70, &Device::Cpu, 2).unwrap();
    let prompts: Vec<_> = batches
        .iter()
        .enumerate()
        .map(|(slot, batch)| feed(batch, slot, 0, last(batch)))
        .collect();
    many.feed(&prompts).unwrap();
    let ends: Vec<_> = batches
        .iter()
        .enumerate()
        .map(|(slot, batch)| feed(batch, slot, last(batch), last(batch) + 1))
        .collect();
    let together = many.feed(&ends).unwrap();
    let mut one = CandleDecoder::new(&shape, &weights, 1, &Device::Cpu, 1).unwrap();
    for (batch, together) in batches.iter().zip(together.chunks(VOCABULARY)) {
        one.feed(&[feed(batch, 0, 0, last(batch))]).unwrap();
        let alone = one.feed(&[feed(batch, 0, last(batch), last(batch) + 1)]).unwrap();
        assert_eq!(alone, together);
    }
}

#[test]
fn a_copied_beginning_is_as_good_as_one_that_was_fed() {
    let shape = shape(7, 9, true);
    let weights = lively(&shape);
    let batch = batch(&shape, &[70], 4);
    let mut decoder = CandleDecoder::new(&shape, &weights, 3, &Device::Cpu, 1).unwrap();
    let fed = decoder.feed(&[feed(&batch, 0, 0, 70)]).unwrap().to_vec();
    for count in [1, 31, 32, 69] {
        decoder.feed(&[feed(&batch, 2, 1, 60)]).unwrap();
        decoder.copy(0, 2, count).unwrap();
        assert_eq!(decoder.feed(&[feed(&batch, 2, count, 70)]).unwrap(), fed, "{count}");
    }
    insta::assert_snapshot!(decoder.copy(0, 1, 81).unwrap_err(), @"number of copied tokens 81 is out of range (known: 0 to 80)");
    insta::assert_snapshot!(decoder.copy(0, 3, 1).unwrap_err(), @"slot 3 is out of range (known: 0 to 2)");
}

#[test]
fn training_gives_the_same_bits_whatever_the_threads() {
    let shape = Architecture::default().shape(VOCABULARY).unwrap();
    let weights = initialise(&shape, 1);
    let batches: Vec<Batch> = (0..4).map(|seed| batch(&shape, &[60; 16], seed)).collect();
    let after = |threads| {
        let mut trainer = trainer(&shape, &weights, threads);
        for batch in &batches {
            trainer.step(std::slice::from_ref(batch), 1e-2).unwrap();
        }
        (trainer.weights().unwrap(), trainer.moments().unwrap())
    };
    let once = after(1);
    assert!(once == after(1) && once == after(2));
}

#[test]
fn a_restored_trainer_goes_on_alike() {
    let shape = shape(7, 9, false);
    let batches = [batch(&shape, &[5, 11, 8], 1), batch(&shape, &[14], 2)];
    let mut straight = trainer(&shape, &initialise(&shape, 1), 1);
    straight.step(&batches, 1e-2).unwrap();
    let mut resumed = trainer(&shape, &initialise(&shape, 2), 1);
    let (weights, moments) = (straight.weights().unwrap(), straight.moments().unwrap());
    resumed.restore(moments.steps, &mut reader(&weights, &moments)).unwrap();
    assert_eq!(straight.step(&batches, 1e-2).unwrap(), resumed.step(&batches, 1e-2).unwrap());
    assert!(straight.weights().unwrap() == resumed.weights().unwrap());
}

#[test]
fn what_does_not_fit_is_refused() {
    let shape = shape(7, 9, true);
    let weights = initialise(&shape, 1);
    let step = |batch: Batch| trainer(&shape, &weights, 1).step(&[batch], 0.1).unwrap_err().to_string();
    insta::assert_snapshot!(step(batch(&shape, &[81], 1)), @"a sequence of 81 tokens is longer than the model's context of 80");
    let short = Batch {
        lines: vec![0],
        ..batch(&shape, &[4], 1)
    };
    insta::assert_snapshot!(step(short), @"1 line numbers, expected 4");
    let mut incomplete = weights.clone();
    incomplete.remove("model.norm.weight");
    let error = CandleDecoder::new(&shape, &incomplete, 1, &Device::Cpu, 1).err().unwrap();
    insta::assert_snapshot!(error, @"tensor `model.norm.weight` is missing");
    let batch = batch(&shape, &[4], 1);
    let mut decoder = CandleDecoder::new(&shape, &weights, 1, &Device::Cpu, 1).unwrap();
    insta::assert_snapshot!(decoder.feed(&[feed(&batch, 1, 0, 4)]).unwrap_err(), @"slot 1 is out of range (known: 0 to 0)");
}
