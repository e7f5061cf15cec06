//! The names of the metrics, as they are in `metrics.json`: the one place that spells them.
//!
//! A point leads into a nested map: `fewer.share` is the number `share` in the map `fewer`.

/// Number of answers.
pub const ANSWERS: &str = "answers";
/// Share of correct answers.
pub const ACCURACY: &str = "accuracy";
/// Share of answers whose steps are all valid: each follows from the one before it.
pub const VALID: &str = "valid";
/// The same among the correct answers: the others are correct by luck, or by leaving out what is wrong.
pub const VALID_RIGHT: &str = "valid_right";
/// Mean number of steps.
pub const AVERAGE_STEPS: &str = "average_steps";
/// Mean number of steps of the correct answers.
pub const AVERAGE_STEPS_RIGHT: &str = "average_steps_right";
/// Mean number of steps of the full solutions.
pub const AVERAGE_FULL_STEPS: &str = "average_full_steps";
/// Share of answers with fewer steps than the full solution.
pub const FEWER_SHARE: &str = "fewer.share";
/// Share of these that are correct.
pub const FEWER_ACCURACY: &str = "fewer.accuracy";
/// Share of answers with as many steps as the full solution.
pub const SAME_SHARE: &str = "same.share";
/// Share of these that are correct.
pub const SAME_ACCURACY: &str = "same.accuracy";
/// Share of answers with more steps than the full solution.
pub const MORE_SHARE: &str = "more.share";
/// Share of these that are correct.
pub const MORE_ACCURACY: &str = "more.accuracy";
/// Share of answers without `Thus, the answer is`.
pub const INCOMPLETE: &str = "incomplete";
/// The standard error of the accuracy, clustered by question.
pub const ACCURACY_STDERR: &str = "accuracy_stderr";
/// A map, where questions have several answers: pass@k and majorities. The name below is in it.
pub const REPEATS: &str = "repeats";
/// The most answers to one question.
pub const SAMPLES: &str = "samples";
/// A map, where a task names fields to group by: by field, the accuracy in each group, and that over groups.
pub const GROUPED: &str = "groups";
/// In such a map: the mean of the accuracies of the groups, each of which counts the same.
pub const MACRO: &str = "macro";
/// Share of answers in which no final answer was found.
pub const NO_ANSWER: &str = "no_answer";
/// Share of answers that got no verdict that could be read.
pub const UNSCORED: &str = "unscored";
/// A map, where a field has labels: how far the verdicts are those of people. The names below, and `unscored` as a number, are in it.
pub const AGREEMENT: &str = "agreement";
/// Number of answers with a label.
pub const LABELLED: &str = "labelled";
/// Share of the verdicts that are the label's.
pub const AGREED: &str = "agreed";
/// Cohen's kappa of both.
pub const KAPPA: &str = "kappa";
/// Number of answers that both say are right.
pub const BOTH_RIGHT: &str = "both_right";
/// Number of those that the judge alone says are right.
pub const JUDGE_ALONE: &str = "judge_alone";
/// Number of those that the label alone says are right.
pub const LABEL_ALONE: &str = "label_alone";
/// Number of those that neither says are right.
pub const NEITHER_RIGHT: &str = "neither_right";
/// Number of missing answers: the prompt was too long, or the server refused it. Omitted if 0.
pub const FAILED: &str = "failed";
/// Mean number of generated tokens.
pub const AVERAGE_TOKENS: &str = "average_tokens";

/// A list: metrics by the number of steps of the full solution, ascending.
pub const BY_FULL_STEPS: &str = "by_full_steps";
/// In that list: the number of steps.
pub const FULL_STEPS: &str = "full_steps";

/// A map, for numbered prompts only: how well the model follows the requested number of steps. The names below are in it.
pub const FOLLOWING: &str = "following";
/// Number of answers to prompts that name a number of steps.
pub const REQUESTS: &str = "requests";
/// How many of them ask for fewer steps than the full solution has.
pub const REAL_SKIPS: &str = "real_skips";
/// Share of consistent answers: those with as many steps as requested.
pub const CONSISTENCY: &str = "consistency";
/// The same among the answers to real skips.
pub const CONSISTENCY_REAL_SKIPS: &str = "consistency_real_skips";
/// Share of the consistent answers that are correct.
pub const ACCURACY_CONSISTENT: &str = "accuracy_consistent";

/// A list: counts by the number of steps that a request leaves out, ascending. The names below are in it.
pub const BY_SKIP: &str = "by_skip";
/// Steps of the full solution, less those requested.
pub const SKIP: &str = "skip";
/// Number of consistent answers.
pub const CONSISTENT: &str = "consistent";
/// Number of correct answers.
pub const RIGHT: &str = "right";
/// Number of answers that `filter` keeps: correct, consistent, and shorter than the full solution. Equal answers count each.
pub const KEPT: &str = "kept";
/// Number of kept answers whose steps are all valid.
pub const KEPT_VALID: &str = "kept_valid";

/// The metrics that are lists of groups of answers, by their full names.
pub(super) const GROUPS: [&str; 2] = [BY_FULL_STEPS, "following.by_skip"];
