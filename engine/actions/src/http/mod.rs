//! `http`: one request and its answer. A file for each part: what is asked (`request`), with which client (`clients`), the
//! exchange itself (`exchange`), and what is made of the answer (`judge`). Never knows steps, attempts or retries.

mod answers;
mod clients;
mod exchange;
mod judge;
mod request;

pub use answers::Asker;
pub(crate) use clients::{Clients, read};
pub(crate) use exchange::{carry_out, is_distrust};
pub(crate) use request::{Fault, Request, fault};
