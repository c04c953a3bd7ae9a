//! Whose attempts come first where places are few.

use crate::definition::Priority;
use crate::run::{Created, Origin};

/// Who wanted a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asker {
    Person,
    Api,
    Schedule,
}

/// The order in which places are given: what tidies up, then by priority, then by origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Cleanup,
    Of(Priority, Asker),
}

/// How many classes there are.
pub(super) const CLASS_COUNT: usize = 10;

pub(super) const CLASSES: [Class; CLASS_COUNT] = [
    Class::Cleanup,
    Class::Of(Priority::High, Asker::Person),
    Class::Of(Priority::High, Asker::Api),
    Class::Of(Priority::High, Asker::Schedule),
    Class::Of(Priority::Normal, Asker::Person),
    Class::Of(Priority::Normal, Asker::Api),
    Class::Of(Priority::Normal, Asker::Schedule),
    Class::Of(Priority::Low, Asker::Person),
    Class::Of(Priority::Low, Asker::Api),
    Class::Of(Priority::Low, Asker::Schedule),
];

impl Class {
    pub(super) const fn index(self) -> usize {
        match self {
            Self::Cleanup => 0,
            Self::Of(priority, asker) => 1 + 3 * (priority as usize) + asker as usize,
        }
    }

    /// Whether a quarter of the places is kept from it.
    pub(super) const fn is_low(self) -> bool {
        matches!(self, Self::Of(_, Asker::Api | Asker::Schedule))
    }

    /// Of a run that does not tidy up.
    pub(super) fn of(created: &Created) -> Self {
        let asker = match created.origin {
            Origin::Person => Asker::Person,
            Origin::Api => Asker::Api,
            Origin::Schedule | Origin::Hook => Asker::Schedule,
        };
        Self::Of(created.terms.priority.unwrap_or_default(), asker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_stand_in_their_order() {
        assert!(CLASSES.is_sorted());
        assert!(CLASSES.iter().enumerate().all(|(index, class)| class.index() == index));
    }
}
