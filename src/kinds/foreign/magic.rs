//! What a file is, told from its first bytes, where it is no data set that is read.

use learn::dataset::BYTE_ORDER_MARK;

/// The first bytes of a gzip file.
pub(super) const GZIP: &[u8] = b"\x1f\x8b";
/// The first bytes of a Parquet file.
pub(super) const PARQUET: &[u8] = b"PAR1";

/// First bytes, and what a file is that begins with them.
const STARTS: [(&[u8], &str); 32] = [
    (b"version https://git-lfs.github.com/spec/", GIT_LFS),
    (b"version https://hawser.github.com/spec/", GIT_LFS),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"PK\x07\x08", ZIP),
    (
        b"\xfd7zXZ\0",
        "a file packed with xz, which is not read: unpack it, or pack it with gzip",
    ),
    (
        b"\x28\xb5\x2f\xfd",
        "a file packed with zstd, which is not read: unpack it, or pack it with gzip",
    ),
    (
        b"\x04\x22\x4d\x18",
        "a file packed with lz4, which is not read: unpack it, or pack it with gzip",
    ),
    (
        b"\x1f\x9d",
        "a file packed with compress, which is not read: unpack it, or pack it with gzip",
    ),
    (
        b"\x5d\0\0",
        "a file packed with lzma, which is not read: unpack it, or pack it with gzip",
    ),
    (
        b"LZIP\x01",
        "a file packed with lzip, which is not read: unpack it, or pack it with gzip",
    ),
    (
        b"\xff\x06\0\0sNaPpY",
        "a file packed with snappy, which is not read: unpack it, or pack it with gzip",
    ),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
    (b"Rar!\x1a\x07", "a rar archive: unpack it"),
    (b"PARE", "an encrypted Parquet file, which is not read"),
    (b"ARROW1", ARROW),
    (b"\xff\xff\xff\xff", ARROW),
    (b"FEA1", ARROW),
    (
        b"Obj\x01",
        "an Avro file, which is not read: write the data as Parquet or JSON Lines",
    ),
    (b"ORC", "an ORC file, which is not read: write the data as Parquet or JSON Lines"),
    (
        b"\x89HDF\r\n\x1a\n",
        "an HDF5 file, which is not read: write the data as Parquet or JSON Lines",
    ),
    (
        b"SQLite format 3\0",
        "an SQLite database, which is not read: write the data as CSV or JSON Lines",
    ),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an old Excel workbook, which is not read: save it as CSV",
    ),
    (
        b"\x93NUMPY",
        "an array of NumPy, which is not read: write the data as Parquet or JSON Lines",
    ),
    (b"\x80\x02", PICKLE),
    (b"\x80\x03", PICKLE),
    (b"\x80\x04", PICKLE),
    (b"\x80\x05", PICKLE),
    (b"GGUF", "a GGUF file, which holds a model: import it with `type = \"model\"`"),
    (b"%PDF-", "a PDF document, and no data"),
    (b"\x89PNG\r\n", "a picture, and no data"),
    (b"\x7fELF", "a program, and no data"),
];

const GIT_LFS: &str = "a pointer of Git LFS and not the file that it stands for: fetch that (`git lfs pull`), or give its address";
const ZIP: &str = "a zip archive (Excel's workbooks are such too): unpack it, or save it as CSV";
const ARROW: &str = "a file of Apache Arrow, which is not read: write the data as Parquet or JSON Lines";
const PICKLE: &str = "a pickle of Python, which is not read: write the data as Parquet or JSON Lines";
const TAR: &str = "a tar archive: unpack it";
const UTF_16: &str = "text in UTF-16, which is not read: save it as UTF-8";
const UTF_32: &str = "text in UTF-32, which is not read: save it as UTF-8";
const BINARY: &str = "no text (it has a byte 0) and none of the formats that are read: JSON Lines, JSON, CSV, Parquet";
const HTML: &str =
    "a web page (HTML) and no data: the address may ask for a login, or lead to a page about the file and not to the file itself";

/// The starts of web pages, in lower case.
const HTML_STARTS: [&[u8]; 6] = [b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<!--"];

/// What an unpacked gzip file holds if that is no text.
pub(super) fn packed(start: &[u8]) -> Option<&'static str> {
    if start.starts_with(PARQUET) {
        return Some("a Parquet file packed with gzip: unpack it");
    }
    if start.starts_with(GZIP) {
        return Some("a file that is packed with gzip twice: unpack it once");
    }
    None
}

/// What the file is that begins with `start`; `None` for what may be a data set.
pub(super) fn other(start: &[u8]) -> Option<&'static str> {
    if start.starts_with(PARQUET) {
        return None;
    }
    if start.starts_with(b"\xff\xfe\0\0") || start.starts_with(b"\0\0\xfe\xff") {
        return Some(UTF_32);
    }
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        return Some(UTF_16);
    }
    if let Some((_, what)) = STARTS.iter().find(|(bytes, _)| start.starts_with(bytes)) {
        return Some(what);
    }
    // `BZh` and a digit could be text; the magic number of a block, or of the end, could not.
    let blocks = [b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90"];
    if start.starts_with(b"BZh") && blocks.iter().any(|block| start.get(4..10) == Some(*block)) {
        return Some("a file packed with bzip2, which is not read: unpack it, or pack it with gzip");
    }
    if start.get(257..262) == Some(b"ustar") {
        return Some(TAR);
    }
    if start.contains(&0) {
        return Some(if is_utf16(start) { UTF_16 } else { BINARY });
    }
    let text = start.strip_prefix(BYTE_ORDER_MARK).unwrap_or(start).trim_ascii_start();
    let begins = |page: &&[u8]| text.get(..page.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(page));
    if HTML_STARTS.iter().any(begins) {
        return Some(HTML);
    }
    if text.starts_with(b"<?xml") {
        let is_page = text.windows(5).take(1024).any(|part| part.eq_ignore_ascii_case(b"<html"));
        return Some(if is_page {
            HTML
        } else {
            "an XML document, which is not read: write the data as CSV or JSON Lines"
        });
    }
    None
}

/// Whether every other byte of most of the first characters is 0, as in English text in UTF-16.
fn is_utf16(start: &[u8]) -> bool {
    let pairs = start.get(..start.len().min(64)).unwrap_or_default().chunks_exact(2);
    let count = pairs.len();
    let zeros = |place: usize| {
        pairs
            .clone()
            .filter(|pair| pair.get(place) == Some(&0) && pair.get(1 - place) != Some(&0))
            .count()
    };
    count > 1 && (zeros(0) * 4 >= count * 3 || zeros(1) * 4 >= count * 3)
}
