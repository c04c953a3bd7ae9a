//! Who has which role: users and groups of the configuration against the uid and gid on the other side of the socket.
//! Never knows what a role is good for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::files;

/// The longest users or groups file that is read, in bytes.
const ACCOUNTS_BYTES: u64 = 4 << 20;

/// Who has a role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    /// Names, or uids.
    pub users: Vec<String>,
    /// Names, or gids.
    pub groups: Vec<String>,
}

/// Roles by name.
pub type Roles = BTreeMap<String, Members>;

/// What the system knows of users and groups.
pub struct Accounts {
    passwd: String,
    group: String,
}

impl Accounts {
    /// Reads passwd(5) and group(5). Where one cannot be read, nobody has a name.
    pub fn read() -> Self {
        let read = |path: &str| {
            let bytes = files::read_bounded(Path::new(path), ACCOUNTS_BYTES).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Self { passwd: read("/etc/passwd"), group: read("/etc/group") }
    }

    /// The name of a user.
    pub fn user(&self, uid: u32) -> Option<&str> {
        self.lines(&self.passwd)
            .find(|fields| fields.get(2).and_then(|f| f.parse().ok()) == Some(uid))?
            .first()
            .copied()
    }

    /// The gid of a group's name, or of a gid in digits.
    pub fn gid(&self, group: &str) -> Option<u32> {
        let line = self.lines(&self.group).find(|fields| fields.first() == Some(&group));
        line.map_or_else(|| group.parse().ok(), |fields| fields.get(2)?.parse().ok())
    }

    fn lines<'a>(&self, text: &'a str) -> impl Iterator<Item = Vec<&'a str>> {
        text.lines().map(|line| line.split(':').collect())
    }

    /// The groups of a process: by name and by gid.
    fn groups_of(&self, user: Option<&str>, gid: u32) -> BTreeSet<String> {
        let primary = self.lines(&self.passwd).find(|fields| user.is_some() && fields.first().copied() == user);
        let primary = primary.and_then(|fields| fields.get(3)?.parse::<u32>().ok());
        let own = [Some(gid), primary];
        let mut groups: BTreeSet<String> = own.iter().flatten().map(ToString::to_string).collect();
        for fields in self.lines(&self.group) {
            let [name, _, number, members] = fields[..] else { continue };
            let member = user.is_some_and(|user| members.split(',').any(|member| member.trim() == user));
            if member || own.contains(&number.parse().ok()) && number.parse::<u32>().is_ok() {
                groups.extend([name.to_owned(), number.to_owned()]);
            }
        }
        groups
    }

    /// The roles of a user, in the order of their names.
    pub fn roles_of(&self, roles: &Roles, uid: u32, gid: u32) -> Vec<String> {
        let user = self.user(uid);
        let groups = self.groups_of(user, gid);
        let number = uid.to_string();
        let has = |members: &Members| {
            members.users.iter().any(|name| *name == number || Some(name.as_str()) == user)
                || members.groups.iter().any(|group| groups.contains(group))
        };
        roles.iter().filter(|(_, members)| has(members)).map(|(role, _)| role.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_come_by_user_and_by_group() {
        let accounts = Accounts {
            passwd: "root:x:0:0::/:/bin/sh\nann:x:1004:100::/:/bin/sh\nbob:x:1005:100::/:/bin/sh\nodd line\n"
                .to_owned(),
            group: "users:x:100:\ndba:x:300:bob, ann\nops:x:400:\nodd line\n".to_owned(),
        };
        let members = |users: &[&str], groups: &[&str]| Members {
            users: users.iter().map(ToString::to_string).collect(),
            groups: groups.iter().map(ToString::to_string).collect(),
        };
        let roles: Roles = [
            ("by-group".to_owned(), members(&[], &["dba"])),
            ("by-name".to_owned(), members(&["ann"], &[])),
            ("by-number".to_owned(), members(&["1005", "7"], &[])),
            ("by-gid".to_owned(), members(&[], &["400"])),
            ("of-users".to_owned(), members(&[], &["users"])),
        ]
        .into();
        let of = |uid, gid| accounts.roles_of(&roles, uid, gid).join(" ");
        assert_eq!(of(1004, 100), "by-group by-name of-users");
        assert_eq!(of(1005, 400), "by-gid by-group by-number of-users");
        assert_eq!(of(7, 400), "by-gid by-number");
        assert_eq!(of(8, 300), "by-group");
        assert_eq!(of(0, 0), "");
        assert_eq!((accounts.gid("ops"), accounts.gid("401"), accounts.gid("none")), (Some(400), Some(401), None));
        assert_eq!((accounts.user(1004), accounts.user(9)), (Some("ann"), None));
    }
}
