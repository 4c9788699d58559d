//! PNG and JPEG pictures: the one door to the picture library.
//!
//! Takes bytes, gives a gray [`Plane`], or the other way round for what the pages show. Reads nothing from disk.

use crate::frame::Plane;
use image::{DynamicImage, ExtendedColorType, ImageEncoder as _, ImageFormat, ImageReader, Limits};
use std::io::Cursor;
use thiserror::Error;

const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG_SIGNATURE: &[u8] = b"\xff\xd8\xff";

/// Why a picture could not be decoded or encoded.
#[derive(Debug, Error)]
pub enum PictureError {
    /// It would take more memory than allowed.
    #[error("the picture is larger than allowed")]
    TooLarge,
    /// A kind of pixel that is not turned into gray.
    #[error("the picture's pixels are not decoded")]
    Unsupported(#[source] image::ImageError),
    /// Damaged.
    #[error("the picture is damaged")]
    Decode(#[source] image::ImageError),
    /// Could not be written.
    #[error("encode the picture")]
    Encode(#[source] image::ImageError),
    /// Pixels and size do not agree.
    #[error("the pixels do not fill width times height")]
    Shape,
}

impl PictureError {
    fn from_decoding(error: image::ImageError) -> Self {
        match error {
            image::ImageError::Limits(_) => Self::TooLarge,
            image::ImageError::Unsupported(_) => Self::Unsupported(error),
            other => Self::Decode(other),
        }
    }
}

/// Whether `head` (the first bytes of a file, 8 are enough) begins a PNG or a JPEG.
pub fn is_png_or_jpeg(head: &[u8]) -> bool {
    head.starts_with(PNG_SIGNATURE) || head.starts_with(JPEG_SIGNATURE)
}

/// Luminance of a colour, in the unit of its components (ITU-R BT.601 weights).
pub fn luminance(r: f32, g: f32, b: f32) -> f32 {
    0.299 * r + 0.587 * g + 0.114 * b
}

/// Whether all of a PNG or JPEG is there: a PNG up to its IEND chunk, a JPEG up to its end-of-image marker.
/// A preview inside the header does not count.
pub fn is_whole(bytes: &[u8]) -> bool {
    if let Some(chunks) = bytes.strip_prefix(PNG_SIGNATURE) {
        png_is_whole(chunks)
    } else if let Some(segments) = bytes.strip_prefix(b"\xff\xd8") {
        jpeg_is_whole(segments)
    } else {
        false
    }
}

fn png_is_whole(mut rest: &[u8]) -> bool {
    // length, kind, data, checksum
    while let Some(([a, b, c, d, kind @ ..], after)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let Some(next) = length.checked_add(4).and_then(|skip| after.get(skip..)) else { return false };
        if kind == b"IEND" {
            return true;
        }
        rest = next;
    }
    false
}

fn jpeg_is_whole(mut rest: &[u8]) -> bool {
    loop {
        // Entropy-coded data and fill bytes up to the next marker: FF followed by neither 00, FF nor a restart.
        let Some(at) = rest
            .windows(2)
            .position(|pair| matches!(pair, [0xff, marker] if !matches!(marker, 0x00 | 0x01 | 0xd0..=0xd7 | 0xff)))
        else {
            return false;
        };
        let Some([_, marker, after @ ..]) = rest.get(at..) else { return false };
        if *marker == 0xd9 {
            return true;
        }
        let Some(([high, low], _)) = after.split_first_chunk::<2>() else { return false };
        let Some(next) = after.get(usize::from(u16::from_be_bytes([*high, *low])).max(2)..) else { return false };
        rest = next;
    }
}

fn reader(bytes: &[u8], largest_bytes: u64) -> ImageReader<Cursor<&[u8]>> {
    let format = if bytes.starts_with(PNG_SIGNATURE) { ImageFormat::Png } else { ImageFormat::Jpeg };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(largest_bytes);
    reader.limits(limits);
    reader
}

/// Width and height, px, from the header.
///
/// # Errors
/// [`PictureError::Decode`] when the header is not whole or not sound.
pub fn size_px(bytes: &[u8]) -> Result<(usize, usize), PictureError> {
    let (width, height) = reader(bytes, u64::MAX).into_dimensions().map_err(PictureError::from_decoding)?;
    Ok((width as usize, height as usize))
}

/// `[height, width]` gray values as stored (0..=255 or 0..=65535), colour as luminance, transparency dropped.
///
/// # Errors
/// - [`PictureError::TooLarge`] when decoding would take more than `largest_bytes`.
/// - [`PictureError::Decode`], [`PictureError::Unsupported`].
pub fn decode_gray(bytes: &[u8], largest_bytes: u64) -> Result<Plane, PictureError> {
    let decoded = reader(bytes, largest_bytes).decode().map_err(PictureError::from_decoding)?;
    let (width, height) = (decoded.width() as usize, decoded.height() as usize);
    let gray = |rgb: [f32; 3]| luminance(rgb[0], rgb[1], rgb[2]);
    let (counts, full_scale) = match decoded {
        DynamicImage::ImageLuma8(it) => (it.pixels().map(|p| f32::from(p.0[0])).collect(), 255.0),
        DynamicImage::ImageLumaA8(it) => (it.pixels().map(|p| f32::from(p.0[0])).collect(), 255.0),
        DynamicImage::ImageLuma16(it) => (it.pixels().map(|p| f32::from(p.0[0])).collect(), 65535.0),
        DynamicImage::ImageLumaA16(it) => (it.pixels().map(|p| f32::from(p.0[0])).collect(), 65535.0),
        it @ (DynamicImage::ImageRgb16(_) | DynamicImage::ImageRgba16(_)) => {
            (it.into_rgb16().pixels().map(|p| gray(p.0.map(f32::from))).collect(), 65535.0)
        }
        it => (it.into_rgb8().pixels().map(|p| gray(p.0.map(f32::from))).collect(), 255.0),
    };
    Plane::new(width, height, counts, full_scale).ok_or(PictureError::Shape)
}

/// A gray PNG of `[height, width]` values 0..=255.
///
/// # Errors
/// [`PictureError::Shape`] when `gray` is not `width_px * height_px` long; [`PictureError::Encode`].
pub fn gray_png(width_px: usize, height_px: usize, gray: &[u8]) -> Result<Vec<u8>, PictureError> {
    png(width_px, height_px, gray, ExtendedColorType::L8)
}

/// A gray JPEG of `[height, width]` values 0..=255, of a quality from 1 to 100.
///
/// # Errors
/// [`PictureError::Shape`] when `gray` is not `width_px * height_px` long; [`PictureError::Encode`].
pub fn gray_jpeg(width_px: usize, height_px: usize, gray: &[u8], quality: u8) -> Result<Vec<u8>, PictureError> {
    let (Ok(width), Ok(height)) = (u32::try_from(width_px), u32::try_from(height_px)) else {
        return Err(PictureError::Shape);
    };
    if width_px.checked_mul(height_px) != Some(gray.len()) || gray.is_empty() {
        return Err(PictureError::Shape);
    }
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality)
        .write_image(gray, width, height, ExtendedColorType::L8)
        .map_err(PictureError::Encode)?;
    Ok(bytes)
}

/// A colour PNG of `[height, width, 3]` values 0..=255 in the order red, green, blue.
///
/// # Errors
/// [`PictureError::Shape`] when `rgb` is not `3 * width_px * height_px` long; [`PictureError::Encode`].
pub fn rgb_png(width_px: usize, height_px: usize, rgb: &[u8]) -> Result<Vec<u8>, PictureError> {
    png(width_px, height_px, rgb, ExtendedColorType::Rgb8)
}

fn png(width_px: usize, height_px: usize, values: &[u8], colour: ExtendedColorType) -> Result<Vec<u8>, PictureError> {
    let expected = width_px.checked_mul(height_px).and_then(|n| n.checked_mul(usize::from(colour.channel_count())));
    let (Ok(width), Ok(height)) = (u32::try_from(width_px), u32::try_from(height_px)) else {
        return Err(PictureError::Shape);
    };
    if expected != Some(values.len()) || values.is_empty() {
        return Err(PictureError::Shape);
    }
    let mut bytes = Vec::new();
    image::codecs::png::PngEncoder::new(&mut bytes)
        .write_image(values, width, height, colour)
        .map_err(PictureError::Encode)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_png_goes_there_and_back_and_no_prefix_is_whole() {
        let gray: Vec<u8> = (0..=255).cycle().take(40 * 30).collect();
        let png = gray_png(40, 30, &gray).unwrap();
        let back = decode_gray(&png, 1 << 20).unwrap();
        assert_eq!(back.counts(), gray.iter().map(|v| f32::from(*v)).collect::<Vec<_>>());
        for length in 0..png.len() {
            assert!(!is_whole(&png[..length]), "{length} of {}", png.len());
        }
        assert!(is_whole(&png));
    }

    #[test]
    fn no_prefix_of_a_jpeg_is_whole() {
        let gray: Vec<u8> = (0..=255).cycle().take(40 * 30).collect();
        let jpeg = gray_jpeg(40, 30, &gray, 75).unwrap();
        for length in 0..jpeg.len() {
            assert!(!is_whole(&jpeg[..length]), "{length} of {}", jpeg.len());
        }
        assert!(is_whole(&jpeg));
        assert_eq!(size_px(&jpeg).unwrap(), (40, 30));
    }

    #[test]
    fn colour_becomes_luminance() {
        let png = rgb_png(2, 1, &[255, 0, 0, 0, 255, 0]).unwrap();
        let plane = decode_gray(&png, 1 << 20).unwrap();
        assert!((plane.counts()[0] - 76.245).abs() < 1e-3 && (plane.counts()[1] - 149.685).abs() < 1e-3);
    }

    #[test]
    fn a_picture_above_the_limit_is_refused() {
        let png = gray_png(200, 200, &vec![7; 40_000]).unwrap();
        assert!(matches!(decode_gray(&png, 1000), Err(PictureError::TooLarge)));
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        assert!(matches!(gray_png(3, 3, &[0; 8]), Err(PictureError::Shape)));
        assert!(matches!(gray_png(0, 0, &[]), Err(PictureError::Shape)));
    }
}
