//! How a whole file is damaged by the fuzzer's bytes.

/// The fuzzer's bytes where the first is even; else `whole`, with some of its bytes changed, a piece of it cut out or doubled, a number
/// near a power of two written into it, or its end cut off.
pub fn changed(whole: &[u8], data: &[u8]) -> Vec<u8> {
    let [first, rest @ ..] = data else { return Vec::new() };
    if first % 2 == 0 {
        return rest.to_vec();
    }
    let mut bytes = whole.to_vec();
    for change in rest.chunks_exact(4) {
        let length = bytes.len().max(1);
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % length;
        let to = (at + usize::from(change[3]) + 1).min(bytes.len());
        match change[2] % 8 {
            0 | 1 if at < bytes.len() => bytes[at] = change[3],
            2 => drop(bytes.drain(at..to)),
            3 => bytes.extend_from_within(at..to),
            4 => bytes.insert(at, change[3]),
            5 => overwrite(&mut bytes, at, &large(change[3]).to_le_bytes()),
            6 => overwrite(&mut bytes, at, &(large(change[3]) as u32).to_le_bytes()),
            7 if change[3] < 16 => bytes.truncate(at),
            _ => overwrite(&mut bytes, at, large(change[3]).to_string().as_bytes()),
        }
    }
    bytes
}

/// A power of two, or what is one below it.
fn large(byte: u8) -> u64 {
    (1_u64 << (byte % 64)).wrapping_sub(u64::from(byte / 128))
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (byte, with) in bytes.iter_mut().skip(at).zip(with) {
        *byte = *with;
    }
}
