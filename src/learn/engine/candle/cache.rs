//! The cache of keys and values, and attention over it.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor};

use super::layers::attend;
use crate::model::ModelShape;

/// Attention reads the positions up to the row's own, rounded up to a multiple of this. The number depends on the row alone, so that sums
/// are grouped in the same way whatever the other rows are.
const POSITION_STEP: usize = 32;

/// The position of a row: its slot, and the number of tokens before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct CachePosition {
    pub(super) slot: usize,
    pub(super) position: usize,
}

/// Keys and values of one layer for a fixed number of slots.
pub(super) struct KeyValueCache {
    slots: usize,
    kv_heads: usize,
    heads: usize,
    head: usize,
    /// [positions · slots, kv_heads · head]
    keys: Tensor,
    /// [positions · slots, kv_heads · head]
    values: Tensor,
}

impl KeyValueCache {
    pub(super) fn new(shape: &ModelShape, slots: usize, device: &Device) -> Result<Self> {
        let rows = shape.context.next_multiple_of(POSITION_STEP) * slots;
        let zeros = || Tensor::zeros((rows, shape.kv_heads * shape.head_dim), DType::F32, device);
        Ok(Self {
            slots,
            kv_heads: shape.kv_heads,
            heads: shape.heads,
            head: shape.head_dim,
            keys: zeros()?,
            values: zeros()?,
        })
    }

    /// Stores the rotated keys and the values of the rows at `places`. keys, values: [places, kv_heads · head]
    pub(super) fn store(&self, places: &[CachePosition], keys: &Tensor, values: &Tensor) -> Result<()> {
        let rows: Vec<u32> = places
            .iter()
            .map(|place| (place.position * self.slots + place.slot) as u32)
            .collect();
        let rows = Tensor::new(rows.as_slice(), keys.device())?.unsqueeze(1)?;
        let rows = rows.broadcast_as(keys.shape())?.contiguous()?;
        self.keys.scatter_set(&rows, &keys.contiguous()?, 0)?;
        self.values.scatter_set(&rows, &values.contiguous()?, 0)
    }

    /// Copies the first `count` positions of slot `from` to slot `to`.
    pub(super) fn copy(&self, from: usize, to: usize, count: usize) -> Result<()> {
        let rows: Vec<u32> = (0..count).map(|position| (position * self.slots + from) as u32).collect();
        let rows = Tensor::new(rows.as_slice(), self.keys.device())?;
        let places: Vec<CachePosition> = (0..count).map(|position| CachePosition { slot: to, position }).collect();
        self.store(&places, &self.keys.index_select(&rows, 0)?, &self.values.index_select(&rows, 0)?)
    }

    /// Attention of the rows at `places` to their slots, up to their own position. queries: [places, heads, head] → [places, heads · head]
    pub(super) fn attend(&self, places: &[CachePosition], queries: &Tensor) -> Result<Tensor> {
        let mut by_length: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (row, place) in places.iter().enumerate() {
            by_length
                .entry((place.position + 1).next_multiple_of(POSITION_STEP))
                .or_default()
                .push(row);
        }
        let mut order = vec![0; places.len()];
        for (to, &from) in by_length.values().flatten().enumerate() {
            if let Some(entry) = order.get_mut(from) {
                *entry = to as u32;
            }
        }
        let groups = by_length.iter();
        let groups = groups
            .map(|(&length, rows)| {
                let members: Vec<CachePosition> = rows.iter().filter_map(|&row| places.get(row).copied()).collect();
                let rows: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
                let rows = Tensor::new(rows.as_slice(), queries.device())?;
                self.attend_alike(length, &members, &queries.index_select(&rows, 0)?)
            })
            .collect::<Result<Vec<_>>>()?;
        Tensor::cat(&groups, 0)?.index_select(&Tensor::new(order.as_slice(), queries.device())?, 0)
    }

    /// [`KeyValueCache::attend`] for rows that all read `length` positions.
    fn attend_alike(&self, length: usize, places: &[CachePosition], queries: &Tensor) -> Result<Tensor> {
        let (device, rows) = (queries.device(), places.len());
        let slots: Vec<u32> = places.iter().map(|place| place.slot as u32).collect();
        let slots = Tensor::new(slots.as_slice(), device)?;
        let seen = |cache: &Tensor| {
            let positions = cache.narrow(0, 0, length * self.slots)?.reshape((length, self.slots, ()))?;
            let mine = positions.index_select(&slots, 1)?; // [length, rows, kv_heads · head]
            mine.reshape((length, rows, self.kv_heads, self.head))?
                .permute((1, 2, 0, 3))?
                .contiguous()
        };
        let visible = |place: &CachePosition| {
            let position = place.position;
            (0..length).map(move |key| if key > position { f32::NEG_INFINITY } else { 0.0 })
        };
        let mask: Vec<f32> = places.iter().flat_map(visible).collect();
        let mask = Tensor::from_vec(mask, (rows, 1, 1, length), device)?;
        let queries = queries.reshape((rows, self.kv_heads, self.heads / self.kv_heads, self.head))?;
        let attended = attend(&queries, &seen(&self.keys)?, &seen(&self.values)?, &mask)?;
        attended.reshape((rows, self.heads * self.head))
    }
}
