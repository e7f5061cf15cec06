//! The symbols that equations are written in.

/// What is to be isolated.
pub(super) const UNKNOWN: char = '❤';
/// Stand for the letters A, B, C, D, F, G, H, I, J, K, L, M, P, R.
pub(super) const LETTERS: [char; 14] = ['♋', '♙', '♏', '⚛', '☺', '⛭', '♨', '☘', '✊', '☕', '✈', '▣', '⊤', '✄'];
pub(super) const EQUALS: char = '↔';
pub(super) const PLUS: char = '✰';
pub(super) const MINUS: char = '❀';
pub(super) const TIMES: char = '✾';
pub(super) const OVER: char = '♪';
pub(super) const OPEN: char = '❲';
pub(super) const CLOSE: char = '❳';
pub(super) const ZERO: char = '◯';
