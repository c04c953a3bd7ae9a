//! Whose attempts come first where places are few.

use crate::run::Origin;

/// The order in which places are given: what tidies up, then by origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Cleanup,
    Person,
    Api,
    Schedule,
}

pub(super) const CLASSES: [Class; 4] = [Class::Cleanup, Class::Person, Class::Api, Class::Schedule];

impl Class {
    pub(super) const fn index(self) -> usize {
        match self {
            Self::Cleanup => 0,
            Self::Person => 1,
            Self::Api => 2,
            Self::Schedule => 3,
        }
    }

    /// Whether a quarter of the places is kept from it.
    pub(super) const fn is_low(self) -> bool {
        matches!(self, Self::Api | Self::Schedule)
    }

    pub(super) const fn of(origin: Origin) -> Self {
        match origin {
            Origin::Person => Self::Person,
            Origin::Api => Self::Api,
            Origin::Schedule | Origin::Hook => Self::Schedule,
        }
    }
}
