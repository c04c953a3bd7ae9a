//! The daemon: dispatcher, clock, attempts, API, start and stop. The only crate that knows all the others.

mod api;
mod attempts;
pub mod check;
mod clock;
pub mod config;
pub mod cron;
mod definitions;
mod descriptors;
mod dispatcher;
mod files;
mod folder;
pub mod graph;
mod history;
mod instance;
mod layout;
mod library;
mod maintenance;
mod narrate;
pub mod offline;
mod opening;
mod preflight;
pub mod scenarios;
mod secrets;
pub mod serve;
mod surroundings;
pub mod telemetry;
mod unit;
