//! What the headers of a response say of the bytes in its body.

use reqwest::StatusCode;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName};

/// Which bytes of the file a body has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bytes {
    /// The place of the first one; the last one is the file's last.
    pub(super) start: u64,
    /// The length of the whole file, if the server tells.
    pub(super) total: Option<u64>,
}

/// How a response has other bytes than were asked for; the message reads after the address.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct OtherBytes(String);

/// The bytes of a response to a request for the whole file, or for the bytes after those that are there, whose ETag is known.
///
/// # Errors
/// When it has other bytes: a slice is never taken for the whole. The message says which.
pub(super) fn bytes(status: StatusCode, headers: &HeaderMap, asked: Option<(u64, &str)>) -> Result<Bytes, OtherBytes> {
    let length: Option<u64> = text(headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let Some(range) = text(headers, &CONTENT_RANGE) else {
        if status == StatusCode::PARTIAL_CONTENT {
            return Err(OtherBytes("it sends a part of the file and does not say which".to_owned()));
        }
        return Ok(Bytes { start: 0, total: length });
    };
    let sent = || format!("it sends a part of the file ({})", crate::http::clean(range));
    let (start, end, total) = content_range(range).ok_or_else(|| OtherBytes(sent()))?;
    let is_to_the_end = end.checked_add(1) == Some(total) && length.is_none_or(|length| Some(length) == (total - start).into());
    if !is_to_the_end {
        return Err(OtherBytes(sent()));
    }
    match asked {
        _ if start == 0 => {}
        Some((have, etag)) if have == start => {
            if strong_etag(headers).as_deref() != Some(etag) {
                return Err(OtherBytes(format!("{}, of which it does not say that it is the same one", sent())));
            }
        }
        _ => return Err(OtherBytes(format!("{}, which it was not asked for", sent()))),
    }
    Ok(Bytes { start, total: Some(total) })
}

/// First byte, last byte and length of the whole: `bytes 100-199/200`.
fn content_range(range: &str) -> Option<(u64, u64, u64)> {
    let (bounds, total) = range.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (start, end) = bounds.split_once('-')?;
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let (start, end, total) = (number(start)?, number(end)?, number(total)?);
    (start <= end && end < total).then_some((start, end, total))
}

/// The ETag, if it is one by which parts of a file can be put together.
pub(super) fn strong_etag(headers: &HeaderMap) -> Option<String> {
    text(headers, &ETAG).filter(|etag| !etag.starts_with("W/")).map(str::to_owned)
}

/// The type of the content, or nothing.
pub(super) fn content_type(headers: &HeaderMap) -> String {
    text(headers, &CONTENT_TYPE).unwrap_or_default().to_owned()
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn read(status: u16, fields: &[(HeaderName, &'static str)], asked: Option<(u64, &str)>) -> Result<(u64, Option<u64>), String> {
        let fields = fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        let bytes = bytes(StatusCode::from_u16(status).unwrap(), &fields.collect(), asked).map_err(|error| error.to_string())?;
        Ok((bytes.start, bytes.total))
    }

    #[test]
    fn a_slice_is_never_taken_for_the_whole() {
        let (range, length, etag) = (CONTENT_RANGE, CONTENT_LENGTH, (ETAG, "\"v1\""));
        let ranged = |value| (range.clone(), value);
        let asked = Some((40, "\"v1\""));
        assert_eq!(read(200, &[], asked), Ok((0, None)), "the whole in place of the part");
        assert_eq!(read(200, &[(length.clone(), "99")], None), Ok((0, Some(99))));
        for status in [200, 206] {
            assert_eq!(read(status, &[ranged("bytes 40-98/99"), etag.clone()], asked), Ok((40, Some(99))));
            assert_eq!(read(status, &[ranged("bytes 0-98/99"), etag.clone()], asked), Ok((0, Some(99))));
            assert_eq!(read(status, &[ranged("bytes 0-98/99")], None), Ok((0, Some(99))));
            for wrong in [
                "bytes 41-98/99",
                "bytes 40-97/99",
                "bytes 40-98/*",
                "bytes 0-49/99",
                "bytes */99",
                "bytes 98-40/99",
                "bytes 40-99/99",
                "40-98/99",
                "",
            ] {
                let fields = [ranged(wrong), etag.clone()];
                assert!(read(status, &fields, asked).is_err(), "{status} {wrong}");
                assert!(read(status, &fields, None).is_err(), "{status} {wrong}");
            }
            assert!(
                read(status, &[ranged("bytes 40-98/99"), etag.clone()], None).is_err(),
                "nobody asked"
            );
            let short = [ranged("bytes 40-98/99"), etag.clone(), (length.clone(), "58")];
            assert!(read(status, &short, asked).is_err(), "two lengths");
        }
        assert!(read(206, std::slice::from_ref(&etag), asked).is_err());
        for other in [&[ranged("bytes 40-98/99"), (ETAG, "\"v2\"")][..], &[ranged("bytes 40-98/99")]] {
            assert!(read(206, other, asked).is_err(), "another file by now");
        }
    }
}
