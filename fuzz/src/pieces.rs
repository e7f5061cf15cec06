//! A small SentencePiece tokenizer: its pieces, and a `tokenizer.model` with them. Also compiled into `tests/malformed.rs`.

use learn::tokenizer::{Piece, PieceKind};

/// The byte pieces: the first bytes there are, not all of them.
const BYTES: std::ops::Range<u8> = 0..20;

/// As many pieces as the other tokenizers have tokens. The last one ends a completion.
pub fn pieces() -> Vec<Piece> {
    let piece = |text: &str, score: f64, kind: PieceKind| Piece {
        text: text.to_owned(),
        score,
        kind,
    };
    let mut pieces = vec![
        piece("<unk>", 0.0, PieceKind::Unknown),
        piece("<s>", 0.0, PieceKind::Control),
        piece("on", -1.0, PieceKind::Ordinary),
        piece("one", -2.0, PieceKind::Ordinary),
        piece("▁", -3.0, PieceKind::Ordinary),
    ];
    pieces.extend(BYTES.map(|byte| piece(&format!("<0x{byte:02X}>"), 0.0, PieceKind::Byte)));
    pieces.extend(('5'..='~').map(|character| piece(&character.to_string(), -4.0, PieceKind::Ordinary)));
    pieces.push(piece("</s>", 0.0, PieceKind::Control));
    pieces
}

/// The number of a kind in SentencePiece and in llama.cpp.
pub fn number(kind: PieceKind) -> u8 {
    match kind {
        PieceKind::Ordinary => 1,
        PieceKind::Unknown => 2,
        PieceKind::Control => 3,
        PieceKind::Whole => 4,
        PieceKind::Byte => 6,
    }
}

/// The parts of a `tokenizer.model`, each with the number of its field: all pieces, then the settings of the training and of the texts.
pub fn parts() -> Vec<(u8, Vec<u8>)> {
    let piece = |Piece { text, score, kind }: Piece| {
        let head = [0x0a, text.len() as u8];
        let score = (score as f32).to_le_bytes();
        [head.as_slice(), text.as_bytes(), &[0x15], &score, &[0x18, number(kind)]].concat()
    };
    // BPE, whose texts begin with token 1.
    let training = vec![0x18, 2, 0xc8, 0x02, 1];
    // A name and an empty table; texts begin with a space, and keep and escape all others.
    let texts = [b"\x0a\x08identity".as_slice(), &[0x12, 0, 0x18, 1, 0x20, 0, 0x28, 1]].concat();
    let pieces = pieces().into_iter().map(|found| (1, piece(found)));
    pieces.chain([(2, training), (3, texts)]).collect()
}

/// A `tokenizer.model` with these parts.
pub fn file(parts: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut file = Vec::new();
    for (number, part) in parts {
        file.push(number << 3 | 2);
        let mut length = part.len();
        while length >= 0x80 {
            file.push(length as u8 | 0x80);
            length >>= 7;
        }
        file.push(length as u8);
        file.extend(part);
    }
    file
}
