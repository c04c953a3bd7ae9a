//! Values that many hold and that are held once. Never knows what they are.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

/// Values of which equal ones are one.
#[derive(Debug)]
pub struct Interned<T>(HashSet<Arc<T>>);

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self(HashSet::new())
    }
}

impl<T: Eq + Hash> Interned<T> {
    /// The one that is equal to this.
    pub fn share(&mut self, value: Arc<T>) -> Arc<T> {
        if let Some(shared) = self.0.get(&value) {
            return Arc::clone(shared);
        }
        self.0.insert(Arc::clone(&value));
        value
    }

    /// Forgets those that nobody else holds.
    pub fn tidy(&mut self) {
        self.0.retain(|value| Arc::strong_count(value) > 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_for_as_long_as_somebody_holds_them() {
        let mut interned = Interned::default();
        let first = interned.share(Arc::new("a".to_owned()));
        let second = interned.share(Arc::new("a".to_owned()));
        assert!(Arc::ptr_eq(&first, &second));
        assert!(!Arc::ptr_eq(&first, &interned.share(Arc::new("b".to_owned()))));
        interned.tidy();
        assert_eq!(interned.0.len(), 1);
        drop((first, second));
        interned.tidy();
        assert!(interned.0.is_empty());
    }
}
