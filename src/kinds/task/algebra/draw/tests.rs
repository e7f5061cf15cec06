use std::collections::{BTreeMap, HashSet};

use super::*;
use crate::task::algebra::solver;
use crate::task::pool;

const SIGNS: [Sign; 4] = [Sign::Plus, Sign::Minus, Sign::Times, Sign::Over];

/// All equations of so many symbols, their letters in order, with their numbers of steps.
fn every(symbols: usize) -> Vec<(Equation, u32)> {
    let mut every = Vec::new();
    for (left, place) in (1..=symbols).flat_map(|left| (0..symbols).map(move |place| (left, place))) {
        let mut names: Vec<char> = LETTERS.into_iter().take(symbols - 1).collect();
        names.insert(place, UNKNOWN);
        for number in 0..4usize.pow(symbols as u32) {
            let signs: Vec<Sign> = (0..symbols).map(|at| SIGNS[number / 4usize.pow(at as u32) % 4]).collect();
            let is_start = |at: usize| at == left && left < symbols;
            let fits = |at: usize, sign: Sign| match at {
                0 => matches!(sign, Sign::Plus | Sign::Minus),
                at => !is_start(at) || sign == Sign::Plus,
            };
            if !signs.iter().enumerate().all(|(at, sign)| fits(at, *sign)) {
                continue;
            }
            let equation = Equation {
                left: sum(&names[..left], &signs[..left]),
                right: sum(&names[left..], &signs[left..]),
            };
            let steps = solver::solve(equation.clone()).len() as u32;
            let is_zero_term = equation.right.0.is_empty() && equation.left.0.len() == 1;
            if steps > 0 && !is_zero_term {
                every.push((equation, steps));
            }
        }
    }
    every
}

fn range(symbols: u32, steps: [u32; 2]) -> Range {
    Range {
        symbols: [symbols, symbols],
        steps,
        letters: Letters::First,
    }
}

#[test]
fn skeletons_count_all_equations_by_their_steps() {
    for symbols in 2..=6 {
        let mut counted: BTreeMap<u32, u128> = BTreeMap::new();
        for (_, steps) in every(symbols) {
            *counted.entry(steps).or_default() += 1;
        }
        let mut ways: BTreeMap<u32, u128> = BTreeMap::new();
        for skeleton in skeleton::all(symbols) {
            *ways.entry(skeleton.steps()).or_default() += skeleton.ways();
        }
        assert_eq!(ways, counted, "{symbols}");
    }
}

#[test]
fn every_equation_can_be_drawn_and_has_the_steps_asked_for() {
    for (symbols, steps) in [(2, [1, 3]), (3, [1, 4]), (3, [2, 2]), (4, [5, 5])] {
        let range = range(symbols, steps);
        let all: u128 = range.groups().iter().map(ProblemGroup::capacity).sum();
        let drawn = pool::problems(&range, all as u64, &mut Stream::new(1, "test"));
        let questions: HashSet<String> = drawn.iter().map(|named| named.problem.to_string()).collect();
        assert_eq!(questions.len() as u128, all);
        for named in drawn {
            let taken = solver::solve(named.problem.clone()).len() as u32;
            assert!((steps[0]..=steps[1]).contains(&taken), "{} takes {taken}", named.problem);
        }
    }
}

/// The likelihoods, by hand for `❤` and one letter: ❤ ↔ ♋ is solved, and single terms that are ◯ are left out.
#[test]
fn likelihoods_are_those_of_a_sign_at_a_time() {
    let group = EquationGroup::new(2, range(2, [1, MOST_STEPS]));
    let mut counts: BTreeMap<String, f64> = BTreeMap::new();
    let mut stream = Stream::new(7, "test");
    let draws = 60_000;
    for _ in 0..draws {
        *counts.entry(group.draw(&mut stream).to_string()).or_default() += 1.0;
    }
    // ❀ ❤ ↔ ♋, ♋ ↔ ❤, ❀ ♋ ↔ ❤, and twice two signs in the eight with ◯: all equally likely, one of five for each sign.
    assert_eq!(counts.len(), 3 + 8);
    assert!(
        counts.values().all(|count| (count / f64::from(draws) - 1.0 / 11.0).abs() < 0.01),
        "{counts:?}"
    );
    // With three symbols, ↔ after the first is 5/4 as likely as after the second, and ◯ in the end as likely as that.
    let group = EquationGroup::new(3, range(3, [1, MOST_STEPS]));
    let (mut first, mut second) = (0.0, 0.0);
    for _ in 0..draws {
        match group.draw(&mut stream).to_string().as_str() {
            "♋ ↔ ♙ ✰ ❤" => first += 1.0,
            "♋ ✰ ♙ ↔ ❤" => second += 1.0,
            _ => {}
        }
    }
    assert!((1.05..1.5).contains(&(first / second)), "{first} {second}");
}

#[test]
fn any_letters_may_be_asked_for() {
    let any = Range {
        letters: Letters::Any,
        ..range(4, [1, 5])
    };
    let (few, many) = (range(4, [1, 5]).groups()[0].capacity(), any.groups()[0].capacity());
    // 14 · 13 · 12 / 3!
    assert_eq!(many, few * 364);
    let drawn = pool::problems(&any, 200, &mut Stream::new(1, "test"));
    let letters: HashSet<char> = drawn
        .iter()
        .flat_map(|named| named.problem.to_string().chars().collect::<Vec<_>>())
        .collect();
    assert!(LETTERS.iter().all(|letter| letters.contains(letter)));
}
