//! What a runbook wants to be there before its first step. Data only.

use serde::{Deserialize, Serialize};

/// What must be there before the first step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Requires {
    /// Programs on PATH.
    #[serde(default)]
    pub tools: Vec<Tool>,
    /// Names of secrets that must resolve.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Endpoints that must answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<Endpoint>,
    /// Room that must be on disks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disk: Vec<Room>,
}

/// Something that has to answer over HTTP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// What is asked, by GET.
    pub url: String,
    /// The statuses that will do: `200`, or `2xx` for all of a class; any below 500 where there are none.
    #[serde(default)]
    pub expect: Vec<String>,
}

/// Room on a disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Room {
    /// A folder on that disk, absolute or relative to the project's.
    pub path: String,
    /// How much has to be free, in bytes.
    pub free: u64,
}

/// A program that a runbook needs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name on PATH.
    pub name: String,
    /// A condition on its version, such as `>=14`.
    #[serde(default)]
    pub version: Option<String>,
    /// The arguments by which it tells its version; `--version` where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ask: Vec<String>,
}
