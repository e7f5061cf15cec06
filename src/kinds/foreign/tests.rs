use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, FloatType, Int32Type, Int64Type};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;

/// All records of a file with this content: the fields of each, or the error.
fn read(bytes: &[u8]) -> String {
    read_as(FileLayout::default(), bytes)
}

fn read_as(layout: FileLayout, bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    std::fs::write(&path, bytes).unwrap();
    let said = collect(&path, layout);
    said.replace(&folder.path().display().to_string(), "")
}

fn shown(field: &Field) -> String {
    match field {
        Field::Text(text) => format!("{text:?}"),
        Field::Number(number) => number.as_str().to_owned(),
        Field::Truth(_) => "(true or false)".to_owned(),
        Field::Nothing => "-".to_owned(),
        Field::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Field::Object(fields) => format!("{{{}}}", all_shown(fields)),
        Field::Packed(_) => shown(&field.clone().unpacked().unwrap()),
        Field::Other(what) => format!("({what})"),
    }
}

fn all_shown(fields: &[(String, Field)]) -> String {
    let fields = fields.iter().map(|(name, field)| format!("{name}={}", shown(field)));
    fields.collect::<Vec<_>>().join(" ")
}

fn collect(path: &Path, layout: FileLayout) -> String {
    let mut found = Vec::new();
    let read = records(path, layout, &mut |record, line| {
        found.push(format!("{line}: {}", all_shown(&record.0)));
        Ok(())
    });
    found.extend(read.err().map(|error| error.to_string()));
    found.join("\n")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn lines_lists_and_tables_are_told_apart_by_their_content() {
    insta::assert_snapshot!(read(b"{\"a\": 1, \"b\": null}\n\n{\"a\": [1, {}], \"b\": \"x\"}\n"), @r#"
    1: a=1 b=-
    3: a=[1, {}] b="x"
    "#);
    insta::assert_snapshot!(read(b"\n[{\"a\": 1.5, \"b\": {\"c\": 1}},\n{\"a\": true}]"), @r"
    1: a=1.5 b={c=1}
    2: a=(true or false)
    ");
    insta::assert_snapshot!(read(b"a, b\n1,\"x, \"\"y\"\"\n z\"\n2,\n"), @r#"
    2: a="1" b="x, \"y\"\n z"
    4: a="2" b=""
    "#);
    assert_eq!(read(b""), "");
    assert_eq!(read(b"{\"a\": 1}"), "1: a=1");
}

#[test]
fn numbers_keep_their_digits() {
    let text = r#"{"a": 0.10, "b": 1.0, "c": 12345678901234567890123, "d": 1e400, "e": [0.10]}"#;
    let expected = "1: a=0.10 b=1.0 c=12345678901234567890123 d=1e400 e=[0.10]";
    assert_eq!(read(text.as_bytes()), expected);
    assert_eq!(read(format!("[{text}]").as_bytes()), expected);
    assert_eq!(read(b"a,b\n00012,1.0\n"), "2: a=\"00012\" b=\"1.0\"");
}

#[test]
fn byte_order_marks_and_gzip_are_taken_off() {
    let marked = |bytes: &[u8]| [learn::dataset::BYTE_ORDER_MARK, bytes].concat();
    let files: [&[u8]; 5] = [b"{\"a\": 1}\n{\"a\": 2}", b"[{\"a\": 1}]", b"a,b\n1,2\n", b"\"a\",b\r\n1,2", b""];
    for file in files {
        let expected = read(file);
        assert_eq!(read(&marked(file)), expected);
        assert_eq!(read(&gzip(file)), expected);
        assert_eq!(read(&gzip(&marked(file))), expected);
        // Files that were put together.
        let (start, rest) = file.split_at(file.len() / 2);
        assert_eq!(read(&[gzip(start), gzip(b""), gzip(rest)].concat()), expected);
        // Padding.
        assert_eq!(read(&[gzip(start), vec![0; 70_000], gzip(rest), vec![0; 512]].concat()), expected);
    }
    let both = [marked(b"{\"a\": 1}\n"), marked(b"{\"a\": 2}\n")].concat();
    assert_eq!(read(&both), "1: a=1\n2: a=2");
    assert_eq!(read(&marked(&marked(b"a\n1\n"))), "2: a=\"1\"");
    let long: String = (0..20_000).map(|number| format!("{{\"a\": {number}}}\n")).collect();
    let lines = read(&gzip(long.as_bytes()));
    assert_eq!((lines.lines().count(), lines.lines().last()), (20_000, Some("20000: a=19999")));
}

#[test]
fn separators_are_told_from_the_first_line() {
    let expected = "2: a=\"1,1\" b=\"2\"";
    for file in [
        "a\tb\n1,1\t2\n",
        "a;b\r\n1,1;2\r\n",
        "a|b\n1,1|2",
        "a,b\n\"1,1\",2\n",
        "\"a\";\"b\"\n\"1,1\";2\n",
        "\n\na;b\n1,1;2\n",
        "sep=;\na;b\n1,1;2\n",
    ] {
        assert!(
            read(file.as_bytes()).ends_with(&expected[1..]),
            "{file:?}: {}",
            read(file.as_bytes())
        );
    }
    // What is quoted separates nothing.
    assert_eq!(read(b"\"a;b;c\",d\n1,2\n"), "2: a;b;c=\"1\" d=\"2\"");
    assert_eq!(read(b"\"a \"\";;;\",d\n1,2\n"), "2: a \";;;=\"1\" d=\"2\"");
    assert_eq!(read(b"a\n1;2\n"), "2: a=\"1;2\"");
    let layout = FileLayout {
        separator: Some(b','),
        ..FileLayout::default()
    };
    assert_eq!(read_as(layout, b"a;b;c,d\n1,2\n"), "2: a;b;c=\"1\" d=\"2\"");
}

#[test]
fn a_table_has_odd_lines() {
    assert_eq!(read(b"a,,b\n1,2,3\n"), "2: a=\"1\" =\"2\" b=\"3\"");
    assert_eq!(read(b"a,b,\n1,2,\n"), "2: a=\"1\" b=\"2\" =\"\"");
    assert_eq!(read(b"a,b\n\n1,2\n\n\n"), "3: a=\"1\" b=\"2\"");
    assert_eq!(read(b"a,b\r1,2\r3,4"), "2: a=\"1\" b=\"2\"\n3: a=\"3\" b=\"4\"");
    assert_eq!(read(b"a,b\n1,it's 5\" long\n"), "2: a=\"1\" b=\"it's 5\\\" long\"");
    assert_eq!(read(b"a,b\n"), "");
}

#[test]
fn what_is_malformed_is_named_with_its_place() {
    let cases: [&[u8]; 19] = [
        b"{\n  \"a\": 1\n}\n",
        b"{\"a\": 1}\n{\"a\": ",
        b"{\"a\": 1}\n[1]\n",
        b"[{\"a\": 1},\n {\"a\" 2}]",
        b"[{\"a\": 1},\n 2]",
        b"[{\"a\": 1}] x",
        b"[{\"a\": 1},]",
        b"[{\"a\": 1}",
        b"{\"a\": NaN}",
        b"{\"a\": 00012}",
        b"a,b\n1\n",
        b"a\tb\n1\t2\t\n",
        b"a,b\n1,\xff\n",
        b"a,b\n1,\"x\n2,y\n3,z\n",
        b"a,b\n1,\"x\n2,\"y\"\n3,z\n",
        b"PAR1",
        b"PAR1 what is this PAR1",
        b"PAR1\xff\xff\xff\x7fPAR1",
        &[&b"{\"a\": "[..], &b"[".repeat(100_000)].concat(),
    ];
    insta::assert_snapshot!(cases.map(read).join("\n"), @r"
    /x:1: an object goes on over several lines; write each object on one line, or all in a list (`[{…}, {…}]`)
    1: a=1
    /x:2: not valid JSON: the line ends in the middle of a value
    1: a=1
    /x:2: a row is an object (`{…}`), and this is a list
    1: a=1
    /x:2: not valid JSON: expected `:` at column 7
    1: a=1
    /x:2: record 2 of the list: a row is an object (`{…}`), and this is a number
    1: a=1
    /x:1: not valid JSON: trailing characters at column 12
    1: a=1
    /x:1: not valid JSON: trailing comma at column 11
    1: a=1
    /x:1: not valid JSON: EOF while parsing a list at column 9
    /x:1: not valid JSON: JSON has no number `NaN` (write null for a value that is missing), at column 7
    /x:1: not valid JSON: invalid number at column 8
    /x:2: has 1 fields, and the first line names 2; they are separated by `,`
    /x:2: has 3 fields, and the first line names 2; they are separated by tabs
    /x:2: field 2 is not UTF-8 text; save the file as UTF-8
    /x:2: the quote that opens field 2 here is never closed
    /x:2: the quote that opens field 2 here is closed on line 3, and text follows; a quote within quotes is written twice
    /x: not a Parquet file that can be read: EOF: Parquet file too small. Size is 4 but need 8
    /x: not a Parquet file that can be read: EOF: Parquet file too small. Size is 22 but need 544434544
    /x: not a Parquet file that can be read: EOF: Parquet file too small. Size is 12 but need 2147483655
    /x:1: not valid JSON: the line ends in the middle of a value
    ");
}

#[test]
fn what_is_no_data_set_is_named_as_what_it_is() {
    let utf16 = |text: &str, order: fn(u16) -> [u8; 2]| -> Vec<u8> { text.encode_utf16().flat_map(order).collect() };
    let row = "{\"a\": \"some text\"}\n";
    let marked = format!("\u{feff}{row}");
    let mut tar = vec![b'x'; 512];
    tar[257..262].copy_from_slice(b"ustar");
    let whole = gzip(&row.repeat(2_000).into_bytes());
    let cases: [&[u8]; 19] = [
        b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 1\n",
        b"\n <!DOCTYPE html>\n<html><head>",
        b"<?xml version=\"1.0\"?><HTML>",
        b"<?xml version=\"1.0\"?><rows>",
        &utf16(&marked, u16::to_le_bytes),
        &utf16(&marked, u16::to_be_bytes),
        &utf16(row, u16::to_le_bytes),
        &utf16(row, u16::to_be_bytes),
        b"a,b\n1,\0\n",
        b"PK\x03\x04rest",
        b"\xfd7zXZ\0rest",
        b"BZh91AY&SYrest",
        b"\x28\xb5\x2f\xfdrest",
        &gzip(b"PAR1"),
        &gzip(&gzip(b"x")),
        &gzip(&tar),
        &whole[..whole.len() - 20],
        &[&whole[..], b"the rest of another file"].concat(),
        &[&whole[..], b"\x1fthe rest"].concat(),
    ];
    let said = cases.map(|case| read(case).lines().last().unwrap_or_default().to_owned());
    insta::assert_snapshot!(said.join("\n"), @r"
    /x: this is a pointer of Git LFS and not the file that it stands for: fetch that (`git lfs pull`), or give its address
    /x: this is a web page (HTML) and no data: the address may ask for a login, or lead to a page about the file and not to the file itself
    /x: this is a web page (HTML) and no data: the address may ask for a login, or lead to a page about the file and not to the file itself
    /x: this is an XML document, which is not read: write the data as CSV or JSON Lines
    /x: this is text in UTF-16, which is not read: save it as UTF-8
    /x: this is text in UTF-16, which is not read: save it as UTF-8
    /x: this is text in UTF-16, which is not read: save it as UTF-8
    /x: this is text in UTF-16, which is not read: save it as UTF-8
    /x: this is no text (it has a byte 0) and none of the formats that are read: JSON Lines, JSON, CSV, Parquet
    /x: this is a zip archive (Excel's workbooks are such too): unpack it, or save it as CSV
    /x: this is a file packed with xz, which is not read: unpack it, or pack it with gzip
    /x: this is a file packed with bzip2, which is not read: unpack it, or pack it with gzip
    /x: this is a file packed with zstd, which is not read: unpack it, or pack it with gzip
    /x: this is a Parquet file packed with gzip: unpack it
    /x: this is a file that is packed with gzip twice: unpack it once
    /x: this is a tar archive: unpack it
    cannot read /x: it ends in the middle of its packed content: it was cut off
    cannot read /x: something that is not packed follows its packed content
    cannot read /x: something that is not packed follows its packed content
    ");
    // Whatever format is given.
    let layout = FileLayout {
        format: FileFormat::Csv,
        ..FileLayout::default()
    };
    assert!(read_as(layout, b"version https://git-lfs.github.com/spec/v1\n").contains("Git LFS"));
    assert!(!read(b"BZh9,b\n1,2\n").contains("bzip2"));
}

#[test]
fn a_record_of_any_size_does_not_fill_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    // 8 MiB of one text in 8 KB; the limit is lower in tests.
    for start in ["{\"a\": \"", "[{\"a\": \"", "a,b\n\""] {
        let mut encoder = GzEncoder::new(std::fs::File::create(&path).unwrap(), Compression::fast());
        encoder.write_all(start.as_bytes()).unwrap();
        (0..8).for_each(|_| encoder.write_all(&[b'x'; 1 << 20]).unwrap());
        encoder.finish().unwrap();
        let said = collect(&path, FileLayout::default());
        assert!(said.ends_with("no row ends within 4 MiB"), "{said}");
    }
}

#[test]
fn chats_of_one_question_and_one_answer_are_read() {
    let said = |chat: &str| {
        let record: ForeignRecord = serde_json::from_str(chat).unwrap();
        match super::chat(&record) {
            Ok(None) => "no chat".to_owned(),
            Ok(Some(chat)) => format!("{:?} {:?}", chat.prompt, chat.completion),
            Err((name, error)) => format!("field `{name}` {error}"),
        }
    };
    let message = |role: &str, text: &str| format!("{{\"role\": \"{role}\", \"content\": \"{text}\"}}");
    let list = |messages: &[String]| format!("{{\"messages\": [{}]}}", messages.join(", "));
    let (system, user, assistant) = (message("system", "s"), message("user", "u"), message("assistant", "a"));
    let pair = [user.clone(), assistant.clone()];
    insta::assert_snapshot!([
        said(&list(&pair)),
        said(&list(&[std::slice::from_ref(&system), &pair[..]].concat())),
        said(r#"{"conversations": [{"from": "human", "value": "u"}, {"from": "gpt", "value": "a"}]}"#),
        said(r#"{"messages": [{"role": "user", "content": [{"type": "text", "text": "u"}]}, {"role": "assistant", "content": "a"}]}"#),
        said(&list(&[pair.clone(), pair.clone()].concat())),
        said(&list(std::slice::from_ref(&user))),
        said(&list(&[assistant, user.clone()])),
        said(&list(&[])),
        said(&list(&[user.clone(), message("tool", "x")])),
        said(r#"{"messages": ["u", "a"]}"#),
        said(r#"{"messages": [{"role": "user", "content": null}]}"#),
        said(r#"{"messages": [], "messages": []}"#),
        said(r#"{"messages": 3}"#),
        said(r#"{"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}], "conversations": [{"from": "human", "value": "u"}, {"from": "gpt", "value": "a"}]}"#),
        said(r#"{"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}], "conversations": [{"from": "human", "value": "u"}, {"from": "gpt", "value": "b"}]}"#),
    ].join("\n"), @r#"
    "u" "a"
    "s\n\nu" "a"
    "u" "a"
    "u" "a"
    field `messages` has 4 messages of the user and the assistant, and a row is one question and one answer: name them in `fields` (`prompt = "messages[0].content", completion = "messages[1].content"`)
    field `messages` has no message of the user and one of the assistant after it
    field `messages` has no message of the user and one of the assistant after it
    field `messages` has no message of the user and one of the assistant after it
    field `messages` has a message of the role `tool`, which is not read (known: system, user, assistant)
    field `messages` is no list of messages: message 0 has no `role` and `content` (or `from` and `value`) that are texts
    field `messages` is no list of messages: message 0 has no `role` and `content` (or `from` and `value`) that are texts
    field `messages` `messages` stands twice
    no chat
    "u" "a"
    field `conversations` has another chat than `messages`: name the one that counts in `fields` (`prompt = "messages[0].content", completion = "messages[1].content"`)
    "#);
}

/// Written by pyarrow 21: `pq.write_table(pa.table({"question": ["a", "b"], "answer": ["1", None], "n": [1, 2], "x": [[1], []]}), path)`
const PARQUET: &[u8] = include_bytes!("small.parquet");

#[test]
fn parquet_is_read_by_rows() {
    insta::assert_snapshot!(read(PARQUET), @r#"
    1: question="a" answer="1" n=1 x=[1]
    2: question="b" answer=- n=2 x=[]
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
    insta::assert_snapshot!(read(include_bytes!("small-brotli.parquet")), @"/x: column `question` is packed with brotli, which is not read: write the file again with zstd, gzip or snappy");
}

/// A Parquet file of one row, with this schema and these columns in its order, each with its definition and repetition levels.
fn parquet_of(schema: &str, columns: &[(Cell, &[i16], &[i16])]) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::default()).unwrap();
    let mut group = file.next_row_group().unwrap();
    for (cell, defined, repeated) in columns {
        let mut column = group.next_column().unwrap().unwrap();
        let levels = [*defined, *repeated].map(|levels| (!levels.is_empty()).then_some(levels));
        let levels = (levels[0], levels[1]);
        let written = match cell {
            Cell::Bytes(values) => {
                let values: Vec<ByteArray> = values.iter().map(|value| value.to_vec().into()).collect();
                column.typed::<ByteArrayType>().write_batch(&values, levels.0, levels.1)
            }
            Cell::Int(value) => column.typed::<Int32Type>().write_batch(&[*value], levels.0, levels.1),
            Cell::Long(value) => column.typed::<Int64Type>().write_batch(&[*value], levels.0, levels.1),
            Cell::Float(value) => column.typed::<FloatType>().write_batch(&[*value], levels.0, levels.1),
            Cell::Double(value) => column.typed::<DoubleType>().write_batch(&[*value], levels.0, levels.1),
            Cell::Bool(value) => column.typed::<BoolType>().write_batch(&[*value], levels.0, levels.1),
        };
        written.unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    file.into_inner().unwrap()
}

/// The values of a column.
enum Cell {
    Bytes(&'static [&'static [u8]]),
    Int(i32),
    Long(i64),
    Float(f32),
    Double(f64),
    Bool(bool),
}

#[test]
fn parquet_columns_are_read_as_what_they_are() {
    let schema = "message m {
        required int32 cents (DECIMAL(4, 2));
        required int64 share (DECIMAL(2, 2));
        required binary large (DECIMAL(30, 3));
        required float small;
        required double one;
        required double none;
        required boolean yes;
        required int64 at (TIMESTAMP_MICROS);
        required int32 day (DATE);
        required binary raw;
        required binary twice (UTF8);
        required binary twice (UTF8);
    }";
    let flat = |cell| (cell, &[][..], &[][..]);
    let file = parquet_of(
        schema,
        &[
            flat(Cell::Int(-5)),
            flat(Cell::Long(25)),
            flat(Cell::Bytes(&[&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0]])),
            flat(Cell::Float(0.1)),
            flat(Cell::Double(1.0)),
            flat(Cell::Double(f64::NAN)),
            flat(Cell::Bool(true)),
            flat(Cell::Long(1)),
            flat(Cell::Int(1)),
            flat(Cell::Bytes(&[b"x"])),
            flat(Cell::Bytes(&[b"first"])),
            flat(Cell::Bytes(&[b"second"])),
        ],
    );
    insta::assert_snapshot!(read(&file).replace(") ", ")\n"), @r#"
    1: cents=-0.05 share=0.25 large=4722366482869645213.696 small=0.1 one=1.0 none=(not a number)
    yes=(true or false)
    at=(a timestamp)
    day=(a date)
    raw=(bytes that the file does not call a text)
    twice="second" twice="second"
    "#);
}

#[test]
fn parquet_columns_within_columns_are_read() {
    let schema = "message m {
        optional group messages (LIST) { repeated group list { optional group element {
            optional binary content (UTF8);
            optional binary role (UTF8);
        } } }
    }";
    let (defined, repeated): (&[i16], &[i16]) = (&[4, 4], &[0, 1]);
    let file = parquet_of(
        schema,
        &[
            (Cell::Bytes(&[b"1 + 1?", b"2"]), defined, repeated),
            (Cell::Bytes(&[b"user", b"assistant"]), defined, repeated),
        ],
    );
    assert_eq!(
        read(&file),
        "1: messages=[{content=\"1 + 1?\" role=\"user\"}, {content=\"2\" role=\"assistant\"}]"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    std::fs::write(&path, file).unwrap();
    records(&path, FileLayout::default(), &mut |record, _| {
        let chat = chat(&record).unwrap().unwrap();
        assert_eq!((chat.prompt.as_str(), chat.completion.as_str()), ("1 + 1?", "2"));
        let found = record.get("messages[-1].content").unwrap().unwrap().into_owned();
        assert_eq!(found.value().unwrap().unwrap().as_str(), Some("2"));
        Ok(())
    })
    .unwrap();
}

/// The rows of CSV as the `csv` crate reads them; `None` where it does not.
fn by_reference(bytes: &[u8]) -> Option<Vec<Vec<String>>> {
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
    let rows = reader.records().map(|row| Some(row.ok()?.iter().map(str::to_owned).collect()));
    rows.collect()
}

/// The rows of CSV as we read them: the names, and the fields of each record.
fn rows_of(bytes: &[u8]) -> Option<Vec<Vec<String>>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    std::fs::write(&path, bytes).unwrap();
    let layout = FileLayout {
        format: FileFormat::Csv,
        separator: Some(b','),
        bare_numbers: false,
    };
    let mut rows = Vec::new();
    let read = records(&path, layout, &mut |record, _| {
        let (names, fields): (Vec<String>, Vec<Field>) = record.0.into_iter().unzip();
        if rows.is_empty() {
            rows.push(names);
        }
        let texts = fields.into_iter().map(|field| match field {
            Field::Text(text) => text,
            other => panic!("{other:?}"),
        });
        rows.push(texts.collect());
        Ok(())
    });
    read.ok().map(|()| rows)
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
            prop_assert!(said.starts_with("/x: "), "{said}");
        }
    }

    /// Whatever the bytes, the answer is rows or an error that names the file.
    #[test]
    fn any_bytes_are_rows_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}\",:;|\t\r\na1é\u{feff}]{0,60}") {
        for bytes in [&bytes[..], text.as_bytes(), &gzip(text.as_bytes())] {
            let said = read(bytes);
            let last = said.lines().last().unwrap_or("1: ");
            prop_assert!(last.contains("/x") || last.contains(": ") || last.contains('='), "{said}");
        }
    }

    /// Rows that we read are those that the `csv` crate reads; what only it reads is malformed.
    #[test]
    fn tables_are_read_as_the_csv_crate_does(text in "a,b\n[a,\"\r\n ]{0,40}") {
        if let Some(rows) = rows_of(text.as_bytes())
            && !rows.is_empty()
        {
            prop_assert_eq!(Some(rows), by_reference(text.as_bytes()));
        }
    }

    /// What is written with quotes comes back.
    #[test]
    fn any_fields_come_back(rows in prop::collection::vec(prop::collection::vec("[a,;\"\r\n é]{0,6}", 2), 1..5)) {
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        writer.write_record(["a", "b"]).unwrap();
        rows.iter().for_each(|row| writer.write_record(row).unwrap());
        let read = rows_of(&writer.into_inner().unwrap()).unwrap();
        prop_assert_eq!(&read[1..], &rows[..]);
    }
}

fn shape_of(bytes: &[u8]) -> Option<FileShape> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    std::fs::write(&path, bytes).unwrap();
    file_shape(&path).ok()
}

#[test]
fn a_file_is_one_value_or_has_records() {
    for document in [
        "{\"a\": 1}\n",
        "{\n\"a\": NaN\n}",
        "[1, 2]",
        "[{\"step\": 1}]",
        " 0.93\n",
        "-inf",
        "\u{feff}{\"a\": [\n]}",
        "",
        "{\"a\": \n",
    ] {
        assert_eq!(shape_of(document.as_bytes()), Some(FileShape::Document), "{document}");
    }
    for lines in ["{\"a\": 1}\n{\"a\": NaN}\n", "\n{}\n\n{}", "{\"a\": NaN}\n{"] {
        assert_eq!(shape_of(lines.as_bytes()), Some(FileShape::Records(FileFormat::Jsonl)), "{lines}");
    }
    for table in ["step,loss\n1,0.5\n", "0.5 0.6\n"] {
        assert_eq!(shape_of(table.as_bytes()), Some(FileShape::Records(FileFormat::Csv)), "{table}");
    }
    assert_eq!(shape_of(b"PK\x03\x04"), None);
    assert_eq!(shape_of(b"{\0\"\0a\0\"\0:\0"), None, "UTF-16");
}

#[test]
fn bare_numbers_are_read_where_they_may_stand() {
    let layout = FileLayout {
        bare_numbers: true,
        ..FileLayout::default()
    };
    let lines = b"{\"a\": NaN, \"b\": true}\n{\"a\": -Infinity}\n";
    assert_eq!(read_as(layout, lines), "1: a=\"NaN\" b=(true or false)\n2: a=\"-Infinity\"");
    assert!(read(lines).contains("not valid JSON"));
    assert_eq!(read_as(layout, b"a,b\nNaN,1\n"), "2: a=\"NaN\" b=\"1\"", "CSV is text already");
}
