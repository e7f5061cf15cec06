//! `runner schema`.
