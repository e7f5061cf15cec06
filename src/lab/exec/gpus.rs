//! The GPUs that stages share: which are free, and the locks that other runs of this machine see.
//!
//! Each device has eight slots. A stage that needs whole devices takes all eight of each, one that needs a part of their memory as many as
//! hold it. A slot is a file with a lock, held by the worker and the programs that it starts through a file that they inherit: the kernel
//! frees it when the last of them ends, however it ends.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::config::Resources;
use crate::text::{clean_file_name, counted};

/// The slots of a device.
const SLOTS: usize = 8;

/// The longest part of a lock's name that comes from its device.
const NAME_LENGTH: usize = 80;

/// A GPU of this machine, or a part of one that is a device of its own (MIG).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// Its name in `CUDA_VISIBLE_DEVICES`: an index, or an id.
    pub token: String,
    /// Its name for all users of the machine: its id where that is known.
    pub id: String,
    /// Its memory in bytes, where it is known.
    pub memory: Option<u64>,
}

impl Gpu {
    /// Whether it is a part of a GPU. A program sees one of these at most.
    pub fn is_part(&self) -> bool {
        self.token.starts_with("MIG-")
    }

    /// The slots that a stage takes which needs this much of its memory, or all of it; `None` where it has less.
    fn slots(&self, needs: Option<u64>) -> Option<usize> {
        match (needs, self.memory) {
            (Some(needs), Some(memory)) if needs > memory => None,
            (Some(needs), Some(memory)) => {
                let slots = (u128::from(needs) * SLOTS as u128).div_ceil(u128::from(memory.max(1)));
                Some(usize::try_from(slots).unwrap_or(SLOTS).max(1))
            }
            // Of an unknown size nothing can be shared.
            _ => Some(SLOTS),
        }
    }
}

/// What a stage asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GpuRequest {
    pub count: usize,
    /// The memory that it needs on each, in bytes; all of it where it is not given.
    pub memory: Option<u64>,
}

impl GpuRequest {
    /// What a stage with these resources asks for.
    pub fn of(resources: &Resources) -> Self {
        Self {
            count: resources.gpus(),
            memory: resources.gpu_memory.map(|memory| memory.0),
        }
    }
}

/// A part of a device that a stage has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuShare {
    /// The place of the device in the pool.
    pub device: usize,
    pub slots: usize,
}

/// The GPUs of a run, with the slots that its stages have.
#[derive(Clone, Debug, Default)]
pub struct GpuPool {
    devices: Vec<Gpu>,
    free: Vec<usize>,
    /// Whether others have a device, as far as it was seen last.
    taken_by_others: Vec<bool>,
}

impl GpuPool {
    pub fn new(devices: Vec<Gpu>) -> Self {
        Self {
            free: vec![SLOTS; devices.len()],
            taken_by_others: vec![false; devices.len()],
            devices,
        }
    }

    /// Why no stage of this run can ever be given what it asks for, for people; `None` where it can.
    pub fn refusal(&self, request: GpuRequest) -> Option<String> {
        let GpuRequest { count, memory } = request;
        let fitting = self.devices.iter().filter(|gpu| gpu.slots(memory).is_some());
        match (count, fitting.count(), self.devices.len()) {
            (0, ..) => None,
            (_, _, 0) => Some(format!(
                "asks for {}, and none was found on this machine (see the setting `gpus`)",
                counted(count, "GPU")
            )),
            (_, fitting, _) if fitting >= count && count > 1 && self.devices.iter().any(Gpu::is_part) => {
                Some(format!("asks for {count} GPUs, and a program can use one part of a GPU (MIG) only"))
            }
            (_, fitting, all) if fitting < count => Some(match memory {
                Some(_) if all >= count => format!(
                    "asks for more GPU memory than {} of this machine have",
                    if count == 1 { "the GPUs" } else { "enough GPUs" }
                ),
                _ => format!("asks for {count} GPUs, and this machine has {all} (see the setting `gpus`)"),
            }),
            _ => None,
        }
    }

    /// Devices with room for a stage: of those that are shared, the fullest ones.
    pub(super) fn choose(&self, request: GpuRequest) -> Option<Vec<GpuShare>> {
        if request.count == 0 {
            return Some(Vec::new());
        }
        let share = |(device, gpu): (usize, &Gpu)| {
            let slots = gpu.slots(request.memory)?;
            let is_free = self.free[device] >= slots && !self.taken_by_others[device];
            is_free.then_some(GpuShare { device, slots })
        };
        let mut shares: Vec<GpuShare> = self.devices.iter().enumerate().filter_map(share).collect();
        shares.sort_by_key(|share| (self.free[share.device], share.device));
        shares.truncate(request.count);
        // In the order of the machine, which is the order of the bus.
        shares.sort_by_key(|share| share.device);
        (shares.len() == request.count).then_some(shares)
    }

    pub(super) fn take(&mut self, shares: &[GpuShare]) {
        shares.iter().for_each(|share| self.free[share.device] -= share.slots);
    }

    pub(super) fn give_back(&mut self, shares: &[GpuShare]) {
        shares.iter().for_each(|share| self.free[share.device] += share.slots);
    }

    /// Another run has the device.
    pub(super) fn is_taken(&mut self, device: usize) {
        self.taken_by_others[device] = true;
    }

    /// Looks at all devices again.
    pub(super) fn forget_others(&mut self) {
        self.taken_by_others.fill(false);
    }

    /// The names of the devices, for `CUDA_VISIBLE_DEVICES`.
    pub(super) fn tokens(&self, shares: &[GpuShare]) -> Vec<String> {
        shares.iter().map(|share| self.devices[share.device].token.clone()).collect()
    }
}

/// The locks of GPUs, in a folder that all users of the machine share.
pub(super) struct GpuLocks {
    folder: PathBuf,
}

/// Why locks were not taken.
pub(super) enum NotLocked {
    /// Others have this device of the pool.
    Taken(usize),
    Io(io::Error),
}

impl GpuLocks {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Locks the shares. The locks are held until all copies of the files are closed.
    pub(super) fn take(&self, pool: &GpuPool, shares: &[GpuShare]) -> Result<Vec<File>, NotLocked> {
        let mut locks = Vec::new();
        if shares.is_empty() {
            return Ok(locks);
        }
        self.make_folder().map_err(NotLocked::Io)?;
        for share in shares {
            let before = locks.len();
            for slot in 0..SLOTS {
                if locks.len() - before == share.slots {
                    break;
                }
                let file = self.open(&pool.devices[share.device], slot).map_err(NotLocked::Io)?;
                match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                    Ok(()) => locks.push(file),
                    Err(rustix::io::Errno::WOULDBLOCK) => {}
                    Err(error) => return Err(NotLocked::Io(error.into())),
                }
            }
            if locks.len() - before < share.slots {
                return Err(NotLocked::Taken(share.device));
            }
        }
        Ok(locks)
    }

    fn make_folder(&self) -> io::Result<()> {
        if self.folder.is_dir() {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(0o777).create(&self.folder)?;
        // Others may make files there and not remove ours, as in the folder for temporary files.
        std::fs::set_permissions(&self.folder, std::fs::Permissions::from_mode(0o1777))
    }

    fn open(&self, gpu: &Gpu, slot: usize) -> io::Result<File> {
        let name = clean_file_name(&gpu.id, "-_.", NAME_LENGTH);
        let path = self.folder.join(format!("{name}.{slot}"));
        // A lock needs no right to write, which another user's file may not give.
        if let Ok(file) = File::open(&path) {
            return Ok(file);
        }
        let made = OpenOptions::new().read(true).write(true).create_new(true).mode(0o644).open(&path);
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => File::open(&path),
            made => made,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn pool(memory: &[Option<u64>]) -> GpuPool {
        let gpu = |(index, memory): (usize, &Option<u64>)| Gpu {
            token: index.to_string(),
            id: format!("GPU-{index}"),
            memory: *memory,
        };
        GpuPool::new(memory.iter().enumerate().map(gpu).collect())
    }

    fn devices(shares: Option<Vec<GpuShare>>) -> Vec<usize> {
        shares.unwrap().iter().map(|share| share.device).collect()
    }

    #[test]
    fn whole_devices_are_given_once_and_parts_fill_one_device_first() {
        let mut pool = pool(&[Some(16 * GIB), Some(16 * GIB), Some(16 * GIB)]);
        let whole = |count| GpuRequest { count, memory: None };
        let part = |gib| GpuRequest {
            count: 1,
            memory: Some(gib * GIB),
        };
        let first = pool.choose(part(5)).unwrap();
        assert_eq!(first, [GpuShare { device: 0, slots: 3 }]);
        pool.take(&first);
        assert_eq!(devices(pool.choose(part(10))), [0], "10 of 16 need 5 of 8");
        assert_eq!(devices(pool.choose(part(11))), [1]);
        let two = pool.choose(whole(2)).unwrap();
        assert_eq!(devices(Some(two.clone())), [1, 2]);
        pool.take(&two);
        assert_eq!(pool.choose(whole(1)), None);
        assert_eq!(pool.tokens(&two), ["1", "2"]);
        pool.give_back(&two);
        pool.is_taken(1);
        assert_eq!(devices(pool.choose(whole(1))), [2]);
        assert_eq!(pool.choose(whole(2)), None);
        pool.forget_others();
        assert_eq!(devices(pool.choose(whole(2))), [1, 2]);
    }

    #[test]
    fn what_can_never_be_is_said() {
        let says = |memory: &[Option<u64>], count, needs: Option<u64>| {
            let request = GpuRequest {
                count,
                memory: needs.map(|gib| gib * GIB),
            };
            pool(memory).refusal(request)
        };
        assert_eq!(says(&[], 0, None), None);
        assert!(says(&[], 1, None).unwrap().contains("none was found"));
        assert!(says(&[None], 2, None).unwrap().contains("this machine has 1"));
        assert_eq!(says(&[Some(GIB), None], 2, None), None);
        assert!(says(&[Some(GIB)], 1, Some(2)).unwrap().contains("more GPU memory"));
        assert_eq!(says(&[None], 1, Some(2)), None, "its size is not known");
        let mut parts = pool(&[None, None]);
        parts.devices.iter_mut().for_each(|gpu| gpu.token = format!("MIG-{}", gpu.token));
        let two = GpuRequest { count: 2, memory: None };
        assert!(parts.refusal(two).unwrap().contains("MIG"));
    }

    #[test]
    fn a_lock_is_seen_by_others_and_ends_with_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let pool = pool(&[Some(8 * GIB)]);
        let (ours, theirs) = (
            GpuLocks::new(&folder.path().join("gpus")),
            GpuLocks::new(&folder.path().join("gpus")),
        );
        let part = [GpuShare { device: 0, slots: 5 }];
        let held = ours.take(&pool, &part).ok().unwrap();
        assert_eq!(held.len(), 5);
        assert!(matches!(theirs.take(&pool, &part), Err(NotLocked::Taken(0))));
        let rest = theirs.take(&pool, &[GpuShare { device: 0, slots: 3 }]).ok().unwrap();
        drop((held, rest));
        assert_eq!(theirs.take(&pool, &[GpuShare { device: 0, slots: 8 }]).ok().unwrap().len(), 8);
    }
}
