//! NumPy's `.npy` files, as far as a bundle needs them: little-endian f32 in C order.
//!
//! Takes and gives a [`Tensor`]; anything else in such a file is refused with what it is.

use super::InferError;

const MAGIC: &[u8] = b"\x93NUMPY";
/// Magic, version and the header's length, bytes.
const PREFIX_LEN: usize = 10;
/// NumPy pads the header so that the numbers start at a multiple of this.
const ALIGNMENT: usize = 64;

/// An f32 array of any shape, last axis fastest.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Length of each axis.
    pub shape: Vec<usize>,
    /// As many values as the product of the shape.
    pub values: Vec<f32>,
}

/// `tensor` as the bytes of a `.npy` file, format 1.0.
pub fn to_bytes(tensor: &Tensor) -> Vec<u8> {
    let shape: String = tensor.shape.iter().fold(String::new(), |text, length| text + &length.to_string() + ", ");
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", shape.trim_end());
    let padded = (PREFIX_LEN + header.len() + 1).next_multiple_of(ALIGNMENT) - PREFIX_LEN - 1;
    let header = format!("{header:padded$}\n");
    let mut bytes = Vec::with_capacity(PREFIX_LEN + header.len() + 4 * tensor.values.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[1, 0]);
    bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend(tensor.values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

/// Reads the array in `bytes`, which came from the file `name`.
///
/// # Errors
/// `test_tensor` when it is not a complete `.npy` file of little-endian f32 in C order.
pub fn parse(name: &str, bytes: &[u8]) -> Result<Tensor, InferError> {
    parse_inner(bytes).ok_or_else(|| InferError::TestTensor {
        file: name.to_owned(),
        problem: "is not a complete .npy file of little-endian float32 in C order".to_owned(),
    })
}

fn parse_inner(bytes: &[u8]) -> Option<Tensor> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (version, rest) = rest.split_first_chunk::<2>()?;
    let (header_len, rest) = if *version == [1, 0] {
        let (length, rest) = rest.split_first_chunk::<2>()?;
        (usize::from(u16::from_le_bytes(*length)), rest)
    } else {
        let (length, rest) = rest.split_first_chunk::<4>()?;
        (u32::from_le_bytes(*length) as usize, rest)
    };
    let (header, data) = rest.split_at_checked(header_len)?;
    let header = std::str::from_utf8(header).ok()?;
    if !header.contains("'<f4'") || !header.contains("'fortran_order': False") {
        return None;
    }
    let shape = header.split_once("'shape': (")?.1.split_once(')')?.0;
    let lengths = shape.split(',').map(str::trim).filter(|length| !length.is_empty());
    let shape: Vec<usize> = lengths.map(str::parse).collect::<Result<_, _>>().ok()?;
    let count = shape.iter().try_fold(1_usize, |count, length| count.checked_mul(*length))?;
    let (chunks, remainder) = data.as_chunks::<4>();
    if chunks.len() != count || !remainder.is_empty() {
        return None;
    }
    Some(Tensor { shape, values: chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_comes_back_bit_for_bit_and_aligned() {
        for shape in [vec![6], vec![2, 3], vec![1, 1, 2, 3], vec![]] {
            let count = shape.iter().product();
            let tensor = Tensor { shape, values: (0..count).map(|i: usize| i as f32 / 3.0 - 1e-30).collect() };
            let bytes = to_bytes(&tensor);
            assert_eq!((bytes.len() - 4 * tensor.values.len()) % ALIGNMENT, 0);
            assert_eq!(parse("t.npy", &bytes).unwrap(), tensor);
            assert!(parse("t.npy", &bytes[..bytes.len() - 1]).is_err(), "a truncated file is refused");
        }
    }

    #[test]
    fn other_types_are_refused() {
        let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n";
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend([0; 8]);
        assert_eq!(parse("x.npy", &bytes).unwrap_err().code(), "test_tensor");
        assert!(parse("x.npy", b"hello").is_err());
    }
}
