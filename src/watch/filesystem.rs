//! What kind of file system a folder lies on.
//!
//! Takes a path, gives its [`Kind`] and its free space. Shares have no events for what other machines write, so they
//! are polled; and a database does not belong there.

use std::io;
use std::path::Path;

/// The file systems that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// NFS, any version.
    Nfs,
    /// SMB or CIFS (a Windows share).
    Smb,
    /// A file system in user space (sshfs, rclone, many NAS clients).
    Fuse,
    /// Plan 9's protocol (virtual machines, WSL).
    NineP,
    /// Another file system that is shared over a network or a cluster (AFS, Ceph, GFS2, Lustre, OCFS2, GPFS).
    Cluster,
    /// In memory.
    Tmpfs,
    /// ext2, ext3 or ext4.
    Ext4,
    /// XFS.
    Xfs,
    /// Btrfs.
    Btrfs,
    /// ZFS.
    Zfs,
    /// A container's overlay.
    Overlay,
    /// Unknown, with its magic number; taken as local.
    Other(u64),
}

impl Kind {
    /// The kind of the file system that holds `path`.
    ///
    /// # Errors
    /// When `path` does not exist or may not be looked at.
    pub fn of(path: &Path) -> io::Result<Self> {
        let facts = rustix::fs::statfs(path)?;
        // The type of `f_type` differs between architectures; magic numbers are 32 bits wide.
        Ok(Self::from_magic(facts.f_type as u64 & 0xffff_ffff))
    }

    fn from_magic(magic: u64) -> Self {
        match magic {
            0x6969 => Self::Nfs,
            0x517b | 0xff53_4d42 | 0xfe53_4d42 => Self::Smb,
            0x6573_5546 => Self::Fuse,
            0x0102_1997 => Self::NineP,
            0x5346_414f | 0x6b41_4653 | 0x00c3_6400 | 0x0116_1970 | 0x0bd0_0bd0 | 0x7461_636f | 0x4750_4653 => {
                Self::Cluster
            }
            0x0102_1994 => Self::Tmpfs,
            0xef53 => Self::Ext4,
            0x5846_5342 => Self::Xfs,
            0x9123_683e => Self::Btrfs,
            0x2fc1_2fc1 => Self::Zfs,
            0x794c_7630 => Self::Overlay,
            other => Self::Other(other),
        }
    }

    /// Whether other machines may write there without this one being told.
    pub fn is_network(self) -> bool {
        matches!(self, Self::Nfs | Self::Smb | Self::Fuse | Self::NineP | Self::Cluster)
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nfs => "NFS",
            Self::Smb => "SMB",
            Self::Fuse => "FUSE",
            Self::NineP => "9p",
            Self::Cluster => "cluster file system",
            Self::Tmpfs => "tmpfs",
            Self::Ext4 => "ext4",
            Self::Xfs => "XFS",
            Self::Btrfs => "Btrfs",
            Self::Zfs => "ZFS",
            Self::Overlay => "overlay",
            Self::Other(_) => "unknown",
        }
    }
}

/// Bytes that an ordinary user may still write on the file system of `path`.
///
/// # Errors
/// When `path` does not exist or may not be looked at.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let facts = rustix::fs::statvfs(path)?;
    Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_told_from_disks() {
        for (magic, name, network) in [
            (0x6969, "NFS", true),
            (0xff53_4d42, "SMB", true),
            (0xfe53_4d42, "SMB", true),
            (0x6573_5546, "FUSE", true),
            (0x0102_1997, "9p", true),
            (0xef53, "ext4", false),
            (0x0102_1994, "tmpfs", false),
            (0x1234, "unknown", false),
        ] {
            let kind = Kind::from_magic(magic);
            assert_eq!((kind.name(), kind.is_network()), (name, network));
        }
    }

    #[test]
    fn a_real_folder_has_a_kind_and_space() {
        let folder = tempfile::tempdir().unwrap();
        println!("{:?}", Kind::of(folder.path()).unwrap());
        assert!(free_bytes(folder.path()).unwrap() > 0);
        assert!(Kind::of(&folder.path().join("gone")).is_err());
        if Path::new("/proc").is_dir() {
            assert!(!Kind::of(Path::new("/proc")).unwrap().is_network());
        }
    }
}
