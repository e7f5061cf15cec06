//! Damaged files of other programs: runs the functions of the fuzz targets on a fixed set of damages, so that their properties are tested
//! without a fuzzer too. Each returns an error or succeeds, and stays within its memory limit.
//!
//! This is a separate program, since it counts each thread's memory at the allocator.

#[path = "../fuzz/src/change.rs"]
mod change;
#[path = "../fuzz/src/files.rs"]
mod files;
#[path = "../fuzz/src/memory.rs"]
mod memory;
#[path = "../fuzz/src/pieces.rs"]
mod pieces;
#[path = "../fuzz/src/small.rs"]
mod small;

use learn::seed::Stream;

#[global_allocator]
static ALLOCATOR: memory::Counted = memory::Counted;

/// Runs a target on its undamaged files, and on each with up to `most` damages, `count` times. Some damages do no harm.
fn damage(target: fn(&[u8]) -> bool, starts: &[&[u8]], count: u64, most: usize) {
    let mut refused = 0;
    for start in starts {
        assert!(target(start), "the undamaged file is refused: {start:?}");
        for draw in 0..count {
            let mut stream = Stream::new(draw, "malformed");
            let changes = 1 + stream.below(most as u64) as usize;
            let mut data = start.to_vec();
            data.extend((0..4 * changes).map(|_| stream.below(256) as u8));
            refused += u64::from(!target(&data));
        }
    }
    let all = count * starts.len() as u64;
    assert!(refused > 0 && refused < all, "{refused} of {all} are refused");
}

#[test]
fn safetensors() {
    damage(files::model_safetensors, &[&[1], &[0, 1]], 400, 4);
}

#[test]
fn a_folder() {
    // The bytes of changes for each file: `config.json`, `tokenizer.json`, the index, the other configuration; the rest is for the weights.
    let starts: [&[u8]; 5] = [&[4, 0, 0, 0], &[0, 4, 0, 0], &[0, 0, 4, 0], &[0, 0, 0, 4], &[0, 0, 0, 0]];
    damage(files::model_folder, &starts, 100, 2);
}

#[test]
fn gguf() {
    damage(files::model_gguf, &[&[1], &[3]], 400, 3);
}

#[test]
fn a_folder_with_pieces() {
    // The bytes of changes for `tokenizer_config.json`; of the rest, the part of `tokenizer.model` that is changed: a piece, one of the last
    // parts, or all of it.
    let starts: [&[u8]; 5] = [&[4], &[0], &[0, 2], &[0, 101], &[0, 255]];
    damage(files::model_pieces, &starts, 100, 3);
}

#[test]
fn adapters() {
    // The bytes of changes for `adapter_config.json`; the rest is for the adapters.
    damage(files::model_adapter, &[&[4], &[0]], 200, 2);
}

#[test]
fn tokenizers() {
    damage(files::tokenizer, &[&[1], &[3]], 300, 3);
}

#[test]
fn parquet() {
    damage(files::data_parquet, &[&[1], &[3], &[5], &[7]], 300, 3);
}

#[test]
fn json_and_csv() {
    damage(
        files::data_json,
        &[&[0, 1], &[1, 1], &[2, 1], &[3, 1], &[4, 1], &[5, 1], &[6, 1]],
        300,
        4,
    );
}
