//! The kinds of stages, each run as a worker runs it.

mod bench;
mod computing;
mod filtering;
mod generating;
mod guard;
mod importing;
mod measuring;
mod mixing;
mod params;
mod pinned;
mod selecting;
mod splitting;
