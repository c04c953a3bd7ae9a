//! What a person should know of the systemd unit that the daemon runs in. Never changes it.

use std::process::Command;

/// Warnings about the unit, for the log and for `runbook daemon status`; none where systemd did not start the daemon.
pub fn warnings() -> Vec<String> {
    if std::env::var_os("INVOCATION_ID").is_none() || std::env::var_os("NOTIFY_SOCKET").is_none() {
        return Vec::new();
    }
    // systemd gives the unit's name nowhere but in the control group.
    let group = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let ask = |arguments: &[&str]| {
        let output = Command::new("systemctl").args(arguments).output().map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        }
    };
    Unit::of(&group).and_then(|unit| unit.warning(ask)).into_iter().collect()
}

struct Unit<'a> {
    name: &'a str,
    /// Whether it belongs to the manager of a user and not to that of the system.
    of_user: bool,
}

impl<'a> Unit<'a> {
    /// The unit of a control group, as /proc/self/cgroup tells it.
    fn of(group: &'a str) -> Option<Self> {
        let path = group.trim().lines().last()?;
        let name = path.rsplit('/').next().filter(|name| name.ends_with(".service"))?;
        Some(Self { name, of_user: path.contains("/user@") })
    }

    /// Asks systemctl how the unit ends. `ask` takes its arguments and gives what it said, or why it failed.
    fn warning(&self, ask: impl FnOnce(&[&str]) -> Result<String, String>) -> Option<String> {
        let name = self.name;
        let show = ["show", "--property=KillMode", "--value", name, "--user"];
        let arguments = if self.of_user { &show[..] } else { &show[..4] };
        let must = "set KillMode=process (infrastructure/systemd/runbookd.service has it), or a restart of the daemon kills \
                    the steps that run";
        match ask(arguments) {
            Ok(mode) if mode == "process" => None,
            Ok(mode) if !mode.is_empty() => Some(format!("the unit {name} has KillMode={mode}: {must}")),
            Ok(_) => Some(format!("the KillMode of the unit {name} is not known to systemctl; {must}")),
            Err(why) => Some(format!("the KillMode of the unit {name} cannot be checked ({why}); {must}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEM: &str = "0::/system.slice/runbookd.service\n";
    const USER: &str = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/runbookd.service\n";

    fn warned(group: &str, answer: Result<&str, &str>) -> Option<String> {
        let answer = answer.map(str::to_owned).map_err(str::to_owned);
        Unit::of(group).and_then(|unit| unit.warning(|_| answer))
    }

    #[test]
    fn only_a_unit_that_spares_the_steps_is_taken_without_a_word() {
        assert_eq!(warned(SYSTEM, Ok("process")), None);
        for (answer, says) in [
            (Ok("control-group"), "has KillMode=control-group"),
            (Ok("mixed"), "has KillMode=mixed"),
            (Ok(""), "is not known"),
            (Err("no bus"), "cannot be checked (no bus)"),
        ] {
            let warning = warned(SYSTEM, answer).expect("a warning");
            assert!(warning.contains(says) && warning.contains("set KillMode=process"), "{warning}");
            assert!(warning.contains("runbookd.service"), "{warning}");
        }
    }

    #[test]
    fn the_right_manager_is_asked_for_the_right_unit() {
        let asked = |group: &str| {
            let mut asked = String::new();
            let unit = Unit::of(group)?;
            unit.warning(|arguments| {
                asked = arguments.join(" ");
                Ok("process".to_owned())
            });
            Some(asked)
        };
        let show = "show --property=KillMode --value runbookd.service";
        assert_eq!(asked(SYSTEM).as_deref(), Some(show));
        assert_eq!(asked(USER), Some(format!("{show} --user")));
        assert_eq!(asked("0::/user.slice/session-3.scope\n"), None);
        assert_eq!(asked(""), None);
    }
}
