//! Published data sets that the experiments use: where they come from, and how to tell them from others.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::files::{self, FileError};

/// A data set on the network.
#[derive(Debug, Clone, Copy)]
pub struct Set {
    /// What commands call it.
    pub name: &'static str,
    /// Whose it is.
    pub about: &'static str,
    /// Its files.
    pub files: &'static [SetFile],
    /// Folders on the network that hold the files, each packed with gzip. They are plain HTTP: the
    /// checksum proves the content, whoever carried it, and no encryption has to be built.
    pub mirrors: &'static [&'static str],
}

/// A file of a data set, unpacked.
#[derive(Debug, Clone, Copy)]
pub struct SetFile {
    /// Its name.
    pub name: &'static str,
    /// Its length.
    pub bytes: usize,
    /// SHA-256 of its content, in hexadecimal.
    pub sha256: &'static str,
}

/// All that we know.
pub const SETS: &[Set] = &[Set {
    name: "mnist",
    about: "MNIST handwritten digits, (c) Yann LeCun and Corinna Cortes",
    files: &[
        SetFile {
            name: "train-images-idx3-ubyte",
            bytes: 47_040_016,
            sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        },
        SetFile {
            name: "train-labels-idx1-ubyte",
            bytes: 60_008,
            sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        },
        SetFile {
            name: "t10k-images-idx3-ubyte",
            bytes: 7_840_016,
            sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        },
        SetFile {
            name: "t10k-labels-idx1-ubyte",
            bytes: 10_008,
            sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ],
    mirrors: &["http://storage.googleapis.com/cvdf-datasets/mnist", "http://ossci-datasets.s3.amazonaws.com/mnist"],
}];

/// The set of this name.
pub fn find(name: &str) -> Option<&'static Set> {
    SETS.iter().find(|set| set.name == name)
}

/// The set that has a file of this name, packed or not.
pub fn of_file(path: &Path) -> Option<&'static Set> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".gz").unwrap_or(name);
    SETS.iter().find(|set| set.files.iter().any(|file| file.name == name))
}

/// Why a file could not be had.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum FetchError {
    #[error(
        "cannot fetch {file}: {reasons}; without a network, copy the files of the set into {} from elsewhere",
        folder.display()
    )]
    Unreachable { file: &'static str, reasons: String, folder: PathBuf },
    #[error("{url} is not the published {file}: SHA-256 is {found}, expected {expected}; nothing was written")]
    Checksum { url: String, file: &'static str, found: String, expected: &'static str },
    #[error(transparent)]
    File(#[from] FileError),
}

/// How a file came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Got {
    /// It was there already, and is the published one.
    Present,
    /// It was fetched, unpacked, checked and written.
    Fetched,
}

/// Sees to it that `folder` holds a file of a set, trying the mirrors in order. The folder must exist.
pub fn get(file: &SetFile, mirrors: &[&str], folder: &Path) -> Result<Got, FetchError> {
    let path = folder.join(file.name);
    if path.exists() && sha256(&files::read(&path)?) == file.sha256 {
        return Ok(Got::Present);
    }
    let mut reasons = Vec::new();
    for mirror in mirrors {
        let url = format!("{}/{}.gz", mirror.trim_end_matches('/'), file.name);
        match download(&url, file.bytes) {
            Ok(content) => {
                let found = sha256(&content);
                if found != file.sha256 {
                    return Err(FetchError::Checksum { url, file: file.name, found, expected: file.sha256 });
                }
                files::write(&path, &content)?;
                return Ok(Got::Fetched);
            }
            Err(reason) => reasons.push(format!("{mirror}: {reason}")),
        }
    }
    Err(FetchError::Unreachable { file: file.name, reasons: reasons.join("; "), folder: folder.into() })
}

/// Fetches and unpacks at most one byte more than is expected.
fn download(url: &str, expected: usize) -> Result<Vec<u8>, String> {
    let patience = Duration::from_secs(20);
    let config = ureq::Agent::config_builder().timeout_connect(Some(patience)).timeout_recv_response(Some(patience));
    let agent: ureq::Agent = config.build().into();
    let mut response = agent.get(url).call().map_err(|error| error.to_string())?;
    let most = expected as u64 + 1;
    // gzip makes nothing much longer than it was.
    let body = response.body_mut().with_config().limit(most + most / 100 + (1 << 16)).reader();
    let mut content = Vec::with_capacity(expected + 1);
    flate2::read::MultiGzDecoder::new(body).take(most).read_to_end(&mut content).map_err(|error| error.to_string())?;
    Ok(content)
}

fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

    const WORD: SetFile = SetFile {
        name: "word",
        bytes: 5,
        // of "hello"
        sha256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    };

    /// A web server that gives every caller `content`, packed; its address.
    fn serve(content: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/somewhere/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 4096];
                let length = stream.read(&mut request).unwrap();
                assert!(request[..length].starts_with(b"GET /somewhere/word.gz HTTP/1.1\r\n"));
                let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                packer.write_all(content).unwrap();
                let body = packer.finish().unwrap();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
            }
        });
        address
    }

    #[test]
    fn a_file_is_fetched_once_and_checked() {
        let folder = tempfile::tempdir().unwrap();
        let mirror = serve(b"hello");
        assert_eq!(get(&WORD, &["http://127.0.0.1:1", &mirror], folder.path()).unwrap(), Got::Fetched);
        assert_eq!(std::fs::read(folder.path().join("word")).unwrap(), b"hello");
        assert_eq!(get(&WORD, &[], folder.path()).unwrap(), Got::Present);
        std::fs::write(folder.path().join("word"), "hellO").unwrap();
        assert_eq!(get(&WORD, &[&mirror], folder.path()).unwrap(), Got::Fetched);
    }

    #[test]
    fn another_content_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for content in [&b"hellO"[..], b"hello, and much more than was to be"] {
            let mirror = serve(content);
            let error = get(&WORD, &[&mirror], folder.path()).unwrap_err().to_string();
            assert!(error.contains("is not the published word: SHA-256 is "), "{error}");
            assert!(error.ends_with("nothing was written"), "{error}");
            assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
        }
    }

    #[test]
    fn no_network_is_one_clear_line() {
        let folder = tempfile::tempdir().unwrap();
        // Nobody listens on port 1.
        let error = get(&WORD, &["http://127.0.0.1:1"], folder.path()).unwrap_err().to_string();
        assert!(error.starts_with("cannot fetch word: http://127.0.0.1:1: "), "{error}");
        assert!(error.contains("without a network, copy the files of the set into "), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn files_know_their_set() {
        assert_eq!(of_file(Path::new("a/t10k-labels-idx1-ubyte.gz")).unwrap().name, "mnist");
        assert!(of_file(Path::new("labels.npy")).is_none() && find("mnist").is_some() && find("mnost").is_none());
    }
}
