//! TensorBoard's event files: protocol buffers in TFRecord framing.
//!
//! Only the fields of TensorFlow's `event.proto` and `summary.proto` that a scalar needs: `Event { wall_time = 1, step = 2, file_version = 3, summary = 5 }`,
//! `Summary { value = 1 }`, `Value { tag = 1, simple_value = 2 }`.

/// The first record of a file.
pub(super) fn opening(time: f64) -> Vec<u8> {
    let mut event = start(time, 0);
    bytes(&mut event, 3, b"brain.Event:2");
    framed(&event)
}

/// The record of values at one step.
pub(super) fn scalars<'a>(time: f64, step: u64, values: impl Iterator<Item = (&'a str, f64)>) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, number) in values {
        let mut value = Vec::new();
        bytes(&mut value, 1, tag.as_bytes());
        value.push(2 << 3 | 5);
        value.extend((number as f32).to_le_bytes());
        bytes(&mut summary, 1, &value);
    }
    let mut event = start(time, step);
    bytes(&mut event, 5, &summary);
    framed(&event)
}

fn start(time: f64, step: u64) -> Vec<u8> {
    let mut event = vec![1 << 3 | 1];
    event.extend(time.to_le_bytes());
    event.push(2 << 3);
    varint(&mut event, step);
    event
}

/// A field of bytes.
fn bytes(out: &mut Vec<u8>, field: u8, content: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, content.len() as u64);
    out.extend(content);
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// `length, crc(length), data, crc(data)`
fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let (first, last) = (masked(crc32c(&length)).to_le_bytes(), masked(crc32c(data)).to_le_bytes());
    [&length[..], &first, data, &last].concat()
}

/// TFRecord rotates the checksum, since a checksum of data that contains checksums is weak.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit by bit: records are short.
fn crc32c(data: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnoli_s() {
        // The check value of CRC-32C/ISCSI in the catalogue of parametrised CRC algorithms.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_record_is_what_tensorboard_writes() {
        // tensorboard 2.21, `RecordWriter(f).write(event.SerializeToString())` of
        // `Event(wall_time=1.5, step=300, summary=Summary(value=[Summary.Value(tag="loss", simple_value=0.25)]))`
        let written = scalars(1.5, 300, [("loss", 0.25)].into_iter());
        let hex: String = written.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "1b000000000000001a0d9e1309000000000000f83f10ac022a0d0a0b0a046c6f7373150000803e9908deed"
        );
    }
}
