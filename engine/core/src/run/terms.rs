//! What a start says beside its inputs, as it stays in the run's history. Data only.

use serde::{Deserialize, Serialize};

/// What a start says beside its inputs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Names of what the run may destroy, as who started it confirmed them.
    #[serde(default)]
    pub confirmed: Vec<String>,
}
