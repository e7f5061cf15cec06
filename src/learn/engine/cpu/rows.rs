//! Views of rows of floats that may lie further apart than they are wide.

/// `count` rows of `width` floats, `stride` apart.
#[derive(Clone, Copy, Debug)]
pub struct RowView<'a> {
    pub data: &'a [f32],
    pub count: usize,
    pub width: usize,
    pub stride: usize,
}

impl<'a> RowView<'a> {
    /// Rows that lie end to end.
    pub fn dense(data: &'a [f32], count: usize, width: usize) -> Self {
        Self {
            data,
            count,
            width,
            stride: width,
        }
    }
}

/// Rows to write to, `stride` apart. Their number and width follow from the operation.
#[derive(Debug)]
pub struct RowViewMut<'a> {
    pub data: &'a mut [f32],
    pub stride: usize,
}

impl<'a> RowViewMut<'a> {
    pub fn new(data: &'a mut [f32], stride: usize) -> Self {
        Self { data, stride }
    }
}
