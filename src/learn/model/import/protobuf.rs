//! The format of Protocol Buffers, as far as a `tokenizer.model` needs it: numbered fields, one after the other.

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum FieldValue<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Float(f32),
    /// 64 bits, which no field of ours has.
    Long,
}

impl<'a> FieldValue<'a> {
    pub(super) fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn number(self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(number),
            _ => None,
        }
    }

    pub(super) fn float(self) -> Option<f32> {
        match self {
            Self::Float(number) => Some(number),
            _ => None,
        }
    }
}

/// The numbers and values of a message's fields; `None` if the message is damaged.
pub(super) fn fields(message: &[u8]) -> Option<Vec<(u64, FieldValue<'_>)>> {
    let (mut fields, mut rest) = (Vec::new(), message);
    while !rest.is_empty() {
        let tag = number(&mut rest)?;
        let value = match tag & 7 {
            0 => FieldValue::Number(number(&mut rest)?),
            1 => {
                take(&mut rest, 8)?;
                FieldValue::Long
            }
            2 => {
                let length = usize::try_from(number(&mut rest)?).ok()?;
                FieldValue::Bytes(take(&mut rest, length)?)
            }
            5 => FieldValue::Float(f32::from_le_bytes(take(&mut rest, 4)?.try_into().ok()?)),
            _ => return None,
        };
        fields.push((tag >> 3, value));
    }
    Some(fields)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

/// A number in groups of seven bits, the lowest first.
fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *take(rest, 1)?.first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_are_written() {
        let message = [
            0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x1d, 0, 0, 0x80, 0xbf, 0x21, 1, 2, 3, 4, 5, 6, 7, 8,
        ];
        let values = [
            (1, FieldValue::Number(150)),
            (2, FieldValue::Bytes(b"hi")),
            (3, FieldValue::Float(-1.0)),
            (4, FieldValue::Long),
        ];
        assert_eq!(fields(&message).unwrap(), values);
        for cut in [1, 2, 4, 6, 8, 14, 20] {
            assert_eq!(fields(&message[..cut]), None, "{cut}");
        }
        assert_eq!(fields(&[0x0f]), None);
        assert_eq!(fields(&[0xff; 12]), None);
        // Fields of a known number may have another type.
        assert_eq!(FieldValue::Long.number(), None);
    }
}
