//! Rows of a slice, one after the other: what every kernel's loops walk over.
//!
//! One comparison tells whether there is another row, and of more than no elements; the standard library's functions
//! would ask for both, and for the row's end once more. Kernels have some two hundred such loops.
#![allow(unsafe_code)]

/// Iterator of [`rows`](crate::kernels::util::rows).
#[derive(Clone, Debug)]
pub struct Rows<'a, T> {
    rest: &'a [T],
    len: usize,
}

/// Iterator of [`rows_mut`](crate::kernels::util::rows_mut).
#[derive(Debug)]
pub struct RowsMut<'a, T> {
    rest: &'a mut [T],
    len: usize,
}

/// How many of `all` elements a row of `len` leaves; `None` if there is no such row.
#[inline(always)]
fn left(all: usize, len: usize) -> Option<usize> {
    let left = all.wrapping_sub(len);
    // A row of none leaves as many, one that is too long (by wrapping) more.
    (left < all).then_some(left)
}

/// Copies as much as both have, by the processor's fastest way, which takes a call: for what is no handful of values.
#[inline(always)]
pub fn copy<T: Copy>(from: &[T], to: &mut [T]) {
    // SAFETY: both have so many elements, and a slice that is written overlaps no other.
    unsafe { core::ptr::copy_nonoverlapping(from.as_ptr(), to.as_mut_ptr(), from.len().min(to.len())) }
}

impl<'a, T> Rows<'a, T> {
    /// Of `len` elements each.
    #[inline(always)]
    pub fn new(items: &'a [T], len: usize) -> Self {
        Self { rest: items, len }
    }

    /// How many are left.
    pub fn len(&self) -> usize {
        self.rest.len().checked_div(self.len).unwrap_or(0)
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        left(self.rest.len(), self.len).is_none()
    }
}

impl<'a, T> Iterator for Rows<'a, T> {
    type Item = &'a [T];

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        left(self.rest.len(), self.len)?;
        // SAFETY: something is left, so that the row is no longer than all.
        let (row, rest) = unsafe { self.rest.split_at_unchecked(self.len) };
        self.rest = rest;
        Some(row)
    }
}

impl<'a, T> RowsMut<'a, T> {
    /// Of `len` elements each.
    #[inline(always)]
    pub fn new(items: &'a mut [T], len: usize) -> Self {
        Self { rest: items, len }
    }
}

impl<'a, T> Iterator for RowsMut<'a, T> {
    type Item = &'a mut [T];

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        left(self.rest.len(), self.len)?;
        // SAFETY: as above.
        let (row, rest) = unsafe { core::mem::take(&mut self.rest).split_at_mut_unchecked(self.len) };
        self.rest = rest;
        Some(row)
    }
}
