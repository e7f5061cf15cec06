//! `math`: whether two answers are the same mathematics, by exact evaluation ([`value`]).
//!
//! Numbers, fractions, powers, roots and expressions with letters, in LaTeX or as they are typed; equations; tuples, intervals, and sets
//! and lists in any order. Equations over the symbols of the task `algebra` are judged as that task does. What is none of these is
//! compared as a text.

mod field;
mod form;
mod parse;
#[cfg(test)]
mod tests;
mod value;

use self::form::{Container, Form};
use super::answer;
use crate::task::{Amount, is_same_solution};

/// The sign between the sides of an equation of the task `algebra`.
const ALGEBRA_EQUALS: char = '↔';

/// Whether an answer, which may be in a box, is what is right.
pub(super) fn is_right(answer: &str, right: &str) -> bool {
    if right.contains(ALGEBRA_EQUALS) {
        return is_same_solution(right, answer);
    }
    let answer = form::plain(answer::boxed(answer).unwrap_or(answer));
    let right = form::plain(answer::boxed(right).unwrap_or(right));
    is_same(&answer, &right)
}

fn is_same(answer: &str, right: &str) -> bool {
    if form::squeezed(answer) == form::squeezed(right) {
        return true;
    }
    let (answer, right) = (form::without_name(answer, right), form::without_name(right, answer));
    match (Form::of(answer), Form::of(right)) {
        (Form::Many(one, answers), Form::Many(other, rights)) => {
            one == other && answers.len() == rights.len() && {
                let is_ordered = one != Container::List;
                let pairs = answers.iter().zip(&rights);
                let in_order = || pairs.clone().all(|(answer, right)| is_same_one(answer, right));
                if is_ordered { in_order() } else { is_same_list(&answers, &rights) }
            }
        }
        (Form::One(answer), Form::One(right)) => is_same_one(answer, right),
        _ => false,
    }
}

/// Whether each item is among the others, and the other way round.
fn is_same_list(answers: &[&str], rights: &[&str]) -> bool {
    let within = |some: &[&str], others: &[&str]| some.iter().all(|one| others.iter().any(|other| is_same_one(one, other)));
    within(answers, rights) && within(rights, answers)
}

fn is_same_one(answer: &str, right: &str) -> bool {
    let (answer, right) = (form::without_name(answer, right), form::without_name(right, answer));
    match (answer.split_once('='), right.split_once('=')) {
        (Some(answer), Some(right)) => is_same_equation(answer, right),
        (None, None) => is_same_value(answer, right),
        _ => false,
    }
}

fn is_same_value(answer: &str, right: &str) -> bool {
    let (answer_value, right_value) = (form::without_unit(answer), form::without_unit(right));
    match (parse::value(answer_value), parse::value(right_value)) {
        (Some(answer), Some(right)) => answer == right,
        _ => {
            let (answer_number, right_number) = (Amount::parse(answer), Amount::parse(right));
            match right_number {
                Some(_) => answer_number == right_number,
                None => form::squeezed(answer_value).to_lowercase() == form::squeezed(right_value).to_lowercase(),
            }
        }
    }
}

/// Equations are the same where the differences of their sides are, up to a factor.
fn is_same_equation(answer: (&str, &str), right: (&str, &str)) -> bool {
    let difference = |(left, right): (&str, &str)| Some(parse::value(left)?.plus(parse::value(right)?.negative()));
    match (difference(answer), difference(right)) {
        (Some(answer), Some(right)) => answer.is_multiple_of(right),
        _ => false,
    }
}
