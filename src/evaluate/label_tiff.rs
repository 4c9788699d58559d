//! Label pictures as TIFF: 16-bit grey, one uncompressed strip, little-endian; what every tool of the field reads.

use super::paint::LabelPicture;

/// Entries of the directory, each of 12 bytes.
const ENTRIES: u16 = 8;
/// Bytes before the pixels: header, entry count, entries, link to the next directory (none).
const PIXELS_AT: u32 = 8 + 2 + 12 * ENTRIES as u32 + 4;

/// The whole file.
pub fn bytes(picture: &LabelPicture) -> Vec<u8> {
    let (width, height) = (picture.width as u32, picture.height as u32);
    let size = width * height * 2;
    // tag, type (3 = 16 bit, 4 = 32 bit), value
    let entries: [(u16, u16, u32); ENTRIES as usize] = [
        (256, 4, width),
        (257, 4, height),
        (258, 3, 16),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, PIXELS_AT),
        (278, 4, height),
        (279, 4, size),
    ];
    let mut bytes = Vec::with_capacity(PIXELS_AT as usize + size as usize);
    bytes.extend_from_slice(b"II\x2a\x00\x08\x00\x00\x00");
    bytes.extend_from_slice(&ENTRIES.to_le_bytes());
    for (tag, kind, value) in entries {
        bytes.extend_from_slice(&tag.to_le_bytes());
        bytes.extend_from_slice(&kind.to_le_bytes());
        bytes.extend_from_slice(&1_u32.to_le_bytes());
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    bytes.extend_from_slice(&0_u32.to_le_bytes());
    for label in &picture.labels {
        bytes.extend_from_slice(&label.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let picture = LabelPicture { width: 3, height: 2, labels: vec![0, 1, 65535, 300, 0, 7] };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mask000.tif");
        std::fs::write(&path, bytes(&picture)).unwrap();
        assert_eq!(crate::evaluate::sets::labels(&path).unwrap(), picture);
    }
}
