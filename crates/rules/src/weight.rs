//! What things take in memory, for the budgets of caches.

/// About what the allocator gives away for an allocation of so many bytes: it rounds up, small ones to
/// sixteen bytes and large ones by some hundredths.
pub fn allocated(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { (bytes + bytes / 16).next_multiple_of(16) }
}

/// What a list of `capacity` things of this type takes, without what they point to.
pub fn list<T>(capacity: usize) -> usize {
    allocated(capacity * size_of::<T>())
}

/// What a shared thing of this type takes, without what it points to.
pub fn shared<T>() -> usize {
    allocated(2 * size_of::<usize>() + size_of::<T>())
}
