//! Who holds a port: what a newcomer asks when an address is in use. Read from /proc, so Linux only; elsewhere, and
//! where permissions hide it, the answer is `None`.

use std::fs;

/// `name (pid 123)` of the process that listens on this TCP port, where that can be seen.
pub(crate) fn holder(port: u16) -> Option<String> {
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|table| listening_inodes(&table, port))
        .collect();
    let processes = fs::read_dir("/proc").ok()?;
    for process in processes.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
        let holds = descriptors.flatten().filter_map(|d| fs::read_link(d.path()).ok()).any(|target| {
            let target = target.to_string_lossy();
            inodes
                .iter()
                .any(|inode| target.strip_prefix("socket:[").and_then(|t| t.strip_suffix(']')) == Some(inode))
        });
        if holds {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (pid {pid})", name.trim()));
        }
    }
    None
}

/// The inodes of sockets that listen on the port, from a table as /proc/net/tcp has it (proc(5)).
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    const LISTEN: &str = "0A";
    let suffix = format!(":{port:04X}");
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let local = fields.next()?;
            let state = fields.nth(1)?;
            let inode = fields.nth(5)?;
            (local.ends_with(&suffix) && state == LISTEN).then(|| inode.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_holder_of_a_port_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let holder = super::holder(port).expect("this process holds it");
        assert!(holder.contains(&format!("(pid {})", std::process::id())), "{holder}");
        drop(listener);
    }
}
