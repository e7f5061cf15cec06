//! The symbols that equations are written in.

/// The unknown, which is to be isolated.
pub(in crate::task) const UNKNOWN: char = '❤';
/// Stand for the letters A, B, C, D, F, G, H, I, J, K, L, M, P, R.
pub(in crate::task) const LETTERS: [char; 14] = ['♋', '♙', '♏', '⚛', '☺', '⛭', '♨', '☘', '✊', '☕', '✈', '▣', '⊤', '✄'];
pub(in crate::task) const EQUALS: char = '↔';
pub(in crate::task) const PLUS: char = '✰';
pub(in crate::task) const MINUS: char = '❀';
pub(in crate::task) const TIMES: char = '✾';
pub(in crate::task) const OVER: char = '♪';
pub(in crate::task) const OPEN: char = '❲';
pub(in crate::task) const CLOSE: char = '❳';
pub(in crate::task) const ZERO: char = '◯';
