//! What a file is, told by its first bytes, so that an error can say what to do with it.

/// A kind of model file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A flash image of ours.
    Image,
    Safetensors,
    Tflite,
    Onnx,
    /// What `torch.save` writes: a zip of pickles.
    TorchZip,
    /// A Keras 3 archive.
    Keras,
    /// Another zip.
    Zip,
    /// HDF5: Keras 2 models and weights.
    Hdf5,
    /// Python pickles, as torch wrote before 1.6.
    Pickle,
    Elf,
    Npy,
    Gguf,
    Text,
    Unknown,
}

impl Kind {
    /// Of these bytes; takes any.
    pub fn of(bytes: &[u8]) -> Self {
        let starts = |magic: &[u8]| bytes.starts_with(magic);
        let holds = |name: &[u8]| bytes.windows(name.len()).any(|w| w == name);
        match bytes {
            _ if starts(b"EMBR") => Self::Image,
            _ if bytes.get(4..8) == Some(b"TFL3") => Self::Tflite,
            // The eight bytes of the header's length, then JSON.
            [_, _, _, _, _, 0, 0, 0, b'{', ..] => Self::Safetensors,
            // A zip names its members in the clear; torch's first one is `NAME/data.pkl`.
            _ if starts(b"PK\x03\x04") && holds(b"data.pkl") => Self::TorchZip,
            _ if starts(b"PK\x03\x04") && holds(b"model.weights.h5") => Self::Keras,
            _ if starts(b"PK\x03\x04") => Self::Zip,
            _ if starts(b"\x89HDF\r\n\x1a\n") => Self::Hdf5,
            [0x80, 2..=5, ..] => Self::Pickle,
            _ if starts(b"\x7fELF") => Self::Elf,
            _ if starts(b"\x93NUMPY") => Self::Npy,
            _ if starts(b"GGUF") => Self::Gguf,
            // A ModelProto begins with its IR version (field 1), then a field's tag.
            [0x08, 1..=20, 0x12 | 0x1a | 0x22 | 0x2a | 0x32 | 0x3a | 0x42, ..] => Self::Onnx,
            _ if !bytes.is_empty()
                && bytes.iter().take(512).all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()) =>
            {
                Self::Text
            }
            _ => Self::Unknown,
        }
    }

    /// What it is and what to do with it, as the end of an error message.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Image => {
                "it is an embernet flash image: run it as it is; `embernet export` makes a TFLite file of it"
            }
            Self::Safetensors => {
                "it is a safetensors file: `embernet import` takes it, with --graph if it holds weights alone"
            }
            Self::Tflite => "it is a TFLite model: `embernet import` takes it",
            Self::Onnx => "it looks like an ONNX model: `embernet import` takes it",
            Self::TorchZip | Self::Pickle => {
                "it looks like a PyTorch pickle (.pt, .pth), which can run any code when it is read: export the model with \
                 torch.onnx.export, or write its weights with safetensors.torch.save_file and give --graph"
            }
            Self::Keras => "it is a Keras model (.keras): convert it with tf.lite.TFLiteConverter.from_keras_model",
            Self::Hdf5 => {
                "it is HDF5, as Keras writes it (.h5): convert the model with tf.lite.TFLiteConverter.from_keras_model"
            }
            Self::Zip => "it is a zip archive",
            Self::Elf => "it is an ELF program",
            Self::Npy => "it is a NumPy array",
            Self::Gguf => "it is a GGUF language model, which is far too large for a microcontroller",
            Self::Text => "it is a text",
            Self::Unknown => "its first bytes are those of no model file that this program knows",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_content() {
        for (bytes, kind) in [
            (&b"EMBR...."[..], Kind::Image),
            (b"\x1c\0\0\0TFL3....", Kind::Tflite),
            (b"\x40\0\0\0\0\0\0\0{\"a\":1}", Kind::Safetensors),
            (b"PK\x03\x04........archive/data.pkl", Kind::TorchZip),
            (b"PK\x03\x04........model.weights.h5", Kind::Keras),
            (b"PK\x03\x04....", Kind::Zip),
            (b"\x89HDF\r\n\x1a\n", Kind::Hdf5),
            (b"\x80\x02}q", Kind::Pickle),
            (b"\x08\x08\x12\x07pytorch", Kind::Onnx),
            (b"\x7fELF", Kind::Elf),
            (b"\x93NUMPY", Kind::Npy),
            (b"GGUF", Kind::Gguf),
            (b"hello", Kind::Text),
            (b"\xff\xfe\xfd", Kind::Unknown),
            (b"", Kind::Unknown),
        ] {
            assert_eq!(Kind::of(bytes), kind, "{}", bytes.escape_ascii());
            assert!(!kind.advice().is_empty());
        }
    }
}
