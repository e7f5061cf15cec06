//! Buffers that are reused: their capacity only grows.

/// Sets the length of a buffer. If the capacity has to grow, it becomes exactly `length`. The old content may be lost, since nothing
/// reads it.
pub fn fit<N: Copy + Default>(buffer: &mut Vec<N>, length: usize) {
    if buffer.capacity() < length {
        // Freed first, so that the old memory does not exist beside the new.
        *buffer = Vec::new();
        *buffer = vec![N::default(); length];
    }
    buffer.resize(length, N::default());
}

/// Makes a buffer at least `length` long.
pub fn grow<N: Copy + Default>(buffer: &mut Vec<N>, length: usize) {
    if buffer.len() < length {
        fit(buffer, length);
    }
}
