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
mod instance;
mod layout;
mod library;
mod maintenance;
mod narrate;
mod opening;
mod preflight;
mod secrets;
pub mod serve;
mod surroundings;
pub mod telemetry;
mod unit;
