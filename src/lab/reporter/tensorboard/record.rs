//! TensorBoard's event files: protocol buffers in TFRecord framing.
//!
//! Only the fields of TensorFlow's `event.proto` and `summary.proto` that a scalar needs: `Event { wall_time = 1, step = 2, file_version = 3, summary = 5 }`,
//! `Summary { value = 1 }`, `Value { tag = 1, simple_value = 2 }`; and those of the plugin `hparams` that tell the hyperparameters of a run:
//! `Value { tag = 1, tensor = 8, metadata = 9 }`, `SummaryMetadata { plugin_data = 1 }`, `PluginData { plugin_name = 1, content = 2 }`,
//! `HParamsPluginData { session_start_info = 3 }`, `SessionStartInfo { hparams = 1, group_name = 4, start_time_secs = 5 }`.

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

/// The record of the hyperparameters of a run, each a number or a text. TensorBoard takes the mean over the runs of one group.
pub(super) fn hyperparameters<'a>(time: f64, group: &str, values: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut event = start(time, 0);
    bytes(&mut event, 5, &hyperparameters_summary(time, group, values));
    framed(&event)
}

fn hyperparameters_summary<'a>(time: f64, group: &str, values: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut info = Vec::new();
    for (name, text) in values {
        let mut value = Vec::new();
        match text.parse::<f64>() {
            Ok(number) => double(&mut value, 2, number),
            Err(_) => bytes(&mut value, 3, text.as_bytes()),
        }
        let mut entry = message(1, name.as_bytes());
        bytes(&mut entry, 2, &value);
        bytes(&mut info, 1, &entry);
    }
    bytes(&mut info, 4, group.as_bytes());
    double(&mut info, 5, time);
    let mut plugin = message(1, b"hparams");
    bytes(&mut plugin, 2, &message(3, &info));
    let mut value = message(1, b"_hparams_/session_start_info");
    bytes(&mut value, 8, EMPTY_TENSOR);
    bytes(&mut value, 9, &message(1, &plugin));
    message(1, &value)
}

/// A tensor of numbers without any, which TensorBoard wants beside the content: `{ dtype = 1: 1, tensor_shape = 2: { dim = 2: {} } }`.
const EMPTY_TENSOR: &[u8] = &[1 << 3, 1, 2 << 3 | 2, 2, 2 << 3 | 2, 0];

fn start(time: f64, step: u64) -> Vec<u8> {
    let mut event = Vec::new();
    double(&mut event, 1, time);
    event.push(2 << 3);
    varint(&mut event, step);
    event
}

/// A message of one field of bytes.
fn message(field: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    bytes(&mut out, field, content);
    out
}

fn double(out: &mut Vec<u8>, field: u8, number: f64) {
    out.push(field << 3 | 1);
    out.extend(number.to_le_bytes());
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

    #[test]
    fn hyperparameters_are_what_tensorboard_writes() {
        // tensorboard 2.21, `tensorboard.plugins.hparams.summary_v2.hparams_pb({"lr": 0.1}, trial_id="fit lr",
        // start_time_secs=1.5).SerializeToString().hex()`; the same with {"model": "small"} and "fit model"
        let hex = |written: Vec<u8>| written.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(
            hex(hyperparameters_summary(1.5, "fit lr", [("lr", "0.1")].into_iter())),
            "0a590a1c5f68706172616d735f2f73657373696f6e5f73746172745f696e666f42060801120212004a310a2f0a0768706172616d7312241a220a0f0a026c721209119a9999999999b93f2206666974206c7229000000000000f83f"
        );
        assert_eq!(
            hex(hyperparameters_summary(1.5, "fit model", [("model", "small")].into_iter())),
            "0a5d0a1c5f68706172616d735f2f73657373696f6e5f73746172745f696e666f42060801120212004a350a330a0768706172616d7312281a260a100a056d6f64656c12071a05736d616c6c2209666974206d6f64656c29000000000000f83f"
        );
    }
}
