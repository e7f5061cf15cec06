//! Whether more of a metric is better.

/// Which numbers of a metric are the better ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    Higher,
    Lower,
}

/// Words in the names of metrics that are to be low.
const LOW: [&str; 20] = [
    "loss",
    "losses",
    "error",
    "errors",
    "err",
    "perplexity",
    "ppl",
    "mse",
    "mae",
    "rmse",
    "wer",
    "cer",
    "time",
    "seconds",
    "runtime",
    "latency",
    "bytes",
    "memory",
    "params",
    "flops",
];

/// Words in the names of metrics that are to be high, whatever stands before them in the name.
const HIGH: [&str; 24] = [
    "acc",
    "accuracy",
    "f1",
    "auc",
    "bleu",
    "rouge",
    "precision",
    "recall",
    "score",
    "r2",
    "reward",
    "per",
    "acc1",
    "acc5",
    "top1",
    "top5",
    "em",
    "match",
    "correct",
    "iou",
    "map",
    "mrr",
    "ndcg",
    "psnr",
];

/// Words in the names of what tells how sure a number is, not how good.
const SPREAD: [&str; 4] = ["stderr", "std", "stddev", "variance"];

impl Better {
    /// A guess from a metric's dotted name, where a word of it says so (`val_loss`, `train.time`, `accuracy`). The last part with a known
    /// word decides. What scikit-learn negates (`neg_…`) is to be high; so is what is counted `per` something.
    pub fn guess(name: &str) -> Option<Self> {
        for part in name.rsplit('.') {
            let words: Vec<String> = part
                .split(|c: char| !c.is_alphanumeric())
                .map(str::to_lowercase)
                .filter(|word| !word.is_empty())
                .collect();
            let has = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
            if has(&SPREAD) {
                return None;
            }
            if has(&HIGH) || has(&["neg"]) {
                return Some(Self::Higher);
            }
            if has(&LOW) {
                return Some(Self::Lower);
            }
        }
        None
    }

    /// The name in a file and on the command line.
    pub fn named(text: &str) -> Option<Self> {
        match text {
            "higher" => Some(Self::Higher),
            "lower" => Some(Self::Lower),
            _ => None,
        }
    }

    /// Compares two numbers: the better one is less, so that it comes first.
    pub fn compare(self, a: f64, b: f64) -> std::cmp::Ordering {
        match self {
            Self::Higher => b.total_cmp(&a),
            Self::Lower => a.total_cmp(&b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_better() {
        for name in [
            "loss",
            "val_loss",
            "train.time",
            "loss.mean",
            "eval/ppl",
            "word_perplexity,none",
            "Test-RMSE",
        ] {
            assert_eq!(Better::guess(name), Some(Better::Lower), "{name}");
        }
        for name in [
            "accuracy",
            "f1",
            "time.accuracy",
            "neg_mean_squared_error",
            "tokens_per_seconds",
            "eval_top1",
            "exact_match,none",
        ] {
            assert_eq!(Better::guess(name), Some(Better::Higher), "{name}");
        }
        for name in [
            "lossless",
            "eval_entropy",
            "steps",
            "results.arc_easy.acc_stderr,none",
            "std_test_score",
            "",
        ] {
            assert_eq!(Better::guess(name), None, "{name}");
        }
    }
}
