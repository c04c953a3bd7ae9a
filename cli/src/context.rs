//! What every command works with: the console and the connection.

use std::rc::Rc;

use crate::console::Console;
use crate::session::Session;

/// See the module.
#[derive(Debug)]
pub struct Context {
    /// Where output goes.
    pub console: Rc<Console>,
    /// The daemon.
    pub session: Session,
}
