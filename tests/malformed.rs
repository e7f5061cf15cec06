//! Files of other programs, damaged: the functions of the fuzz targets over a set of damages that is the same each time, so that what
//! they hold is held without a fuzzer too. Each gives an error or a success, and takes no more memory than it may.
//!
//! A program of its own, as what a thread takes is counted at the allocator.

#[path = "../fuzz/src/change.rs"]
mod change;
#[path = "../fuzz/src/files.rs"]
mod files;
#[path = "../fuzz/src/memory.rs"]
mod memory;
#[path = "../fuzz/src/small.rs"]
mod small;

use learn::seed::Stream;

#[global_allocator]
static ALLOCATOR: memory::Counted = memory::Counted;

/// Gives a target its files as they are, and `count` times each with up to `most` damages, of which some do no harm.
fn damage(target: fn(&[u8]) -> bool, starts: &[&[u8]], count: u64, most: usize) {
    let mut refused = 0;
    for start in starts {
        assert!(target(start), "the file that is damaged is whole: {start:?}");
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
    // So many bytes of changes for each file: `config.json`, `tokenizer.json`, the index, the other configuration; the rest for the weights.
    let starts: [&[u8]; 5] = [&[4, 0, 0, 0], &[0, 4, 0, 0], &[0, 0, 4, 0], &[0, 0, 0, 4], &[0, 0, 0, 0]];
    damage(files::model_folder, &starts, 100, 2);
}

#[test]
fn gguf() {
    damage(files::model_gguf, &[&[1]], 600, 3);
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
    damage(files::data_json, &[&[0, 1], &[1, 1], &[2, 1], &[3, 1]], 300, 4);
}
