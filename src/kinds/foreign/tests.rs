use std::path::Path;

use proptest::prelude::*;

use super::*;

/// All records of a file with this content: the fields of each, or the error.
fn read(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    std::fs::write(&path, bytes).unwrap();
    let said = collect(&path);
    said.replace(&folder.path().display().to_string(), "")
}

fn collect(path: &Path) -> String {
    let mut found = Vec::new();
    let read = records(path, FileFormat::Auto, &mut |record, line| {
        let fields = record.into_iter().map(|(name, field)| match field {
            Field::Text(text) => format!("{name}={text:?}"),
            Field::Number(number) => format!("{name}={number}"),
            Field::Nothing => format!("{name}=-"),
            Field::Other(what) => format!("{name}=({what})"),
        });
        found.push(format!("{line}: {}", fields.collect::<Vec<_>>().join(" ")));
        Ok(())
    });
    found.extend(read.err().map(|error| error.to_string()));
    found.join("\n")
}

#[test]
fn lines_lists_and_tables_are_told_apart_by_their_content() {
    insta::assert_snapshot!(read(b"{\"a\": 1, \"b\": null}\n\n{\"a\": [1, {}], \"b\": \"x\"}\n"), @r#"
    1: a=1 b=-
    3: a=(a list) b="x"
    "#);
    insta::assert_snapshot!(read(b"\n[{\"a\": 1.5, \"b\": {\"c\": 1}},\n{\"a\": true}]"), @r"
    1: a=1.5 b=(an object)
    2: a=(true or false)
    ");
    insta::assert_snapshot!(read(b"a, b\n1,\"x, \"\"y\"\"\n z\"\n2,\n"), @r#"
    2: a="1" b="x, \"y\"\n z"
    4: a="2" b=""
    "#);
    assert_eq!(read(b""), "");
}

#[test]
fn what_is_malformed_is_named_with_its_place() {
    let cases: [&[u8]; 12] = [
        b"{\"a\": 1}\n{\"a\": ",
        b"{\"a\": 1}\n[1]\n",
        b"[{\"a\": 1},\n {\"a\" 2}]",
        b"[{\"a\": 1},\n 2]",
        b"[{\"a\": 1}] x",
        b"[{\"a\": 1}",
        b"a,b\n1\n",
        b"a,b\n1,\xff\n",
        b"PAR1",
        b"PAR1 what is this PAR1",
        b"PAR1\xff\xff\xff\x7fPAR1",
        &[&b"{\"a\": "[..], &b"[".repeat(100_000)].concat(),
    ];
    insta::assert_snapshot!(cases.map(read).join("\n"), @r"
    1: a=1
    /x:2: not valid JSON: the line ends in the middle of a value
    1: a=1
    /x:2: invalid type: sequence, expected a map
    1: a=1
    /x:2: expected `:` at column 7
    1: a=1
    /x:2: invalid type: integer `2`, expected a map at column 3
    1: a=1
    /x:1: trailing characters at column 12
    1: a=1
    /x:1: EOF while parsing a list at column 9
    /x:2: has 1 fields, and the first line names 2
    /x:2: field 2 is not UTF-8 text
    /x:0: not a Parquet file that can be read: EOF: Parquet file too small. Size is 4 but need 8
    /x:0: not a Parquet file that can be read: EOF: Parquet file too small. Size is 22 but need 544434544
    /x:0: not a Parquet file that can be read: EOF: Parquet file too small. Size is 12 but need 2147483655
    /x:1: not valid JSON: the line ends in the middle of a value
    ");
}

/// Written by pyarrow 21: `pq.write_table(pa.table({"question": ["a", "b"], "answer": ["1", None], "n": [1, 2], "x": [[1], []]}), path)`
const PARQUET: &[u8] = include_bytes!("small.parquet");

#[test]
fn parquet_is_read_by_rows() {
    insta::assert_snapshot!(read(PARQUET), @r#"
    1: answer="1" n=1 question="a" x=(a list)
    2: answer=- n=2 question="b" x=(a list)
    "#);
}

/// The same table, with `compression="gzip"`, `"zstd"` and `"lz4"`.
#[test]
fn packed_parquet_is_unpacked() {
    let packed: [&[u8]; 3] = [
        include_bytes!("small-gzip.parquet"),
        include_bytes!("small-zstd.parquet"),
        include_bytes!("small-lz4.parquet"),
    ];
    for file in packed {
        assert_eq!(read(file), read(PARQUET));
    }
}

/// The same table with `compression="brotli"`.
#[test]
fn another_packing_is_named() {
    insta::assert_snapshot!(read(include_bytes!("small-brotli.parquet")), @"/x:0: column `question` is packed with brotli, which is not read: write the file again with zstd, gzip or snappy");
}

proptest! {
    /// Whatever is changed in a file, the answer is rows or an error that names it, and never a panic.
    #[test]
    fn a_damaged_parquet_file_is_an_error(at in 0..PARQUET.len(), byte: u8, end in 0..PARQUET.len()) {
        let mut changed = PARQUET.to_vec();
        changed[at] = byte;
        let said = read(&changed);
        prop_assert!(!said.is_empty());
        if end > 4 {
            let said = read(&PARQUET[..end]);
            prop_assert!(said.starts_with("/x:0: "), "{said}");
        }
    }
}
