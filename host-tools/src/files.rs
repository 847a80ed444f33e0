//! Reading files with their name in the error, and writing them whole or not at all.
//!
//! Every output of embernet goes through [`Draft`] or [`write()`]: the bytes go to a temporary file
//! beside the destination, reach the disk, and only then take its name. A full disk, a crash or an
//! error in the middle leaves the old file as it was.

use std::fs::{self, File};
use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Opening or reading failed.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Creating, writing, syncing or renaming failed; nothing is left behind.
    #[error("cannot write {}", path.display())]
    Write {
        /// The destination.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A folder for results could not be made.
    #[error("cannot make the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Reads a whole file.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(|source| FileError::Read { path: path.into(), source })
}

/// Reads a whole file, unpacking it when it begins like gzip, whatever its name says.
///
/// At most `limit` unpacked bytes are taken, so that a small hostile file cannot fill the memory;
/// the caller sees a file that seems to end there.
pub fn read_unpacked(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let unpack = || {
        let mut file = io::BufReader::new(File::open(path)?);
        let packed = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        let mut bytes = Vec::new();
        if packed {
            flate2::bufread::MultiGzDecoder::new(file).take(limit).read_to_end(&mut bytes)?;
        } else {
            file.read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    };
    unpack().map_err(|source| FileError::Read { path: path.into(), source })
}

/// Reads a whole text file; other encodings than UTF-8 are an error.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    fs::read_to_string(path).map_err(|source| FileError::Read { path: path.into(), source })
}

/// Makes a folder and those above it.
pub fn make_folder(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(|source| FileError::Folder { path: path.into(), source })
}

/// Writes `bytes` to `path`: all of them, or nothing and the old file stays.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut draft = Draft::new(path)?;
    draft.put(bytes)?;
    draft.commit()
}

/// A file being written. It takes its name at [`Draft::commit`]; dropped before, it vanishes.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    /// The usual case: a temporary file beside the destination.
    Beside(NamedTempFile),
    /// The destination is a device or a pipe (`/dev/stdout`), which must not be renamed over.
    Direct(File),
}

impl Draft {
    /// Begins a file that will be called `path`. Its folder must exist.
    pub fn new(path: &Path) -> Result<Self, FileError> {
        Self::open(path).map_err(|source| FileError::Write { path: path.into(), source })
    }

    fn open(path: &Path) -> io::Result<Self> {
        // Renaming over a symbolic link would replace the link; write where it points.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        if let Ok(known) = fs::metadata(&target) {
            if known.is_dir() {
                return Err(io::Error::from(io::ErrorKind::IsADirectory));
            }
            if !known.is_file() {
                let file = fs::OpenOptions::new().write(true).open(&target)?;
                return Ok(Self { path: target, sink: Sink::Direct(file) });
            }
        }
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".embernet-").suffix(".tmp");
        #[cfg(unix)]
        {
            // tempfile's default is 0600; a result is as readable as any new file of this user.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(folder)?;
        Ok(Self { path: target, sink: Sink::Beside(file) })
    }

    /// Appends bytes; the error names the destination.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        let done = self.write_all(bytes);
        done.map_err(|source| FileError::Write { path: self.path.clone(), source })
    }

    /// Makes the file appear under its name.
    pub fn commit(self) -> Result<(), FileError> {
        let path = self.path;
        let done = match self.sink {
            Sink::Direct(mut file) => file.flush(),
            Sink::Beside(file) => file.as_file().sync_all().and_then(|()| match file.persist(&path) {
                Ok(_) => Ok(()),
                Err(error) => Err(error.error),
            }),
        };
        done.map_err(|source| FileError::Write { path, source })
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.sink {
            Sink::Beside(file) => file.as_file_mut().write(bytes),
            Sink::Direct(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Beside(file) => file.as_file_mut().flush(),
            Sink::Direct(file) => file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_dropped_draft_leaves_the_old_file_and_no_rubbish() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.emb");
        write(&path, b"old").unwrap();
        let mut draft = Draft::new(&path).unwrap();
        draft.put(b"half of the ne").unwrap();
        drop(draft);
        assert_eq!(read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["model.emb"]);
    }

    #[test]
    fn commit_replaces_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.emb");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["model.emb"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_a_device_stays_a_device() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("real");
        write(&path, b"old").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(&link, b"new").unwrap();
        assert_eq!(read(&path).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());

        write(Path::new("/dev/null"), b"gone").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_a_clear_error() {
        let error = write(Path::new("/dev/full"), b"x").unwrap_err();
        assert_eq!(error.to_string(), "cannot write /dev/full");
    }

    #[test]
    fn gzip_is_recognised_by_content_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("no-suffix");
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(&[7; 1000]).unwrap();
        write(&path, &packer.finish().unwrap()).unwrap();
        assert_eq!(read_unpacked(&path, 1 << 20).unwrap(), [7; 1000]);
        assert_eq!(read_unpacked(&path, 10).unwrap(), [7; 10]);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = write(Path::new("/nonexistent/x/y"), b"").unwrap_err();
        assert_eq!(error.to_string(), "cannot write /nonexistent/x/y");
    }
}
