//! Time limits and sizes for transfers to and from a remote.

use std::time::Duration;

/// A remote that sends nothing for this long is taken for broken.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long opening a connection may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A bucket may be silent for this long while it puts the parts of an object together: S3 speaks of minutes.
pub(super) const ASSEMBLY_TIMEOUT: Duration = Duration::from_secs(600);

/// A slower transfer is given up.
const MIN_BYTES_PER_SECOND: u64 = 100_000;

/// Larger files go in parts of this size.
pub(super) const PART_SIZE: u64 = 16 << 20;

/// Parts of one file that are transferred at once.
pub(super) const PARTS_AT_ONCE: usize = 6;

/// How long a transfer of `bytes` may take.
pub(super) fn transfer_timeout(bytes: u64) -> Duration {
    RESPONSE_TIMEOUT + Duration::from_secs(bytes / MIN_BYTES_PER_SECOND)
}
