//! Round trips, and what the decoder does with bytes that are no frames.

use std::{vec, vec::Vec};

use proptest::prelude::*;

use super::*;

const INFO: DeviceInfo<'static> = DeviceInfo {
    board: "board",
    isa: "scalar",
    firmware: "0.1.0",
    arena_bytes: 1 << 20,
    slot_bytes: u32::MAX,
    tick_hz: 25_000_000,
    model: ModelState::Refused(Fault::Crc { found: u32::MAX, expected: u32::MAX }),
};

/// Feeds `bytes` and returns the last frame that they end.
fn decode<'d>(decoder: &'d mut Decoder, bytes: &[u8]) -> Option<Result<Frame<'d>, WireError>> {
    let (last, front) = bytes.split_last()?;
    for byte in front {
        decoder.push(*byte);
    }
    decoder.push(*last)
}

#[test]
fn the_longest_messages_fit_a_frame() {
    let data = [0xA5; MAX_CHUNK];
    let requests = [
        Request::Write { buffer: Buffer::Input(255), offset: u32::MAX, data: &data },
        Request::ModelChunk { offset: u32::MAX, data: &data },
        Request::InferOne { data: &data },
    ];
    for request in requests {
        let mut out = [0; MAX_FRAME + 1];
        let bytes = encode(Kind::Request, u16::MAX, &request, &mut out).unwrap();
        let mut decoder = Decoder::<MAX_FRAME>::new();
        let frame = decode(&mut decoder, bytes).unwrap().unwrap();
        assert_eq!(frame.seq, u16::MAX);
        assert_eq!(frame.request(), Ok(request));
        assert_eq!(frame.response(), Err(WireError::Kind { found: 1 }));
    }
    for response in [Response::Data(&data), Response::Info(INFO)] {
        let mut out = [0; MAX_FRAME + 1];
        let bytes = encode(Kind::Response, 9, &response, &mut out).unwrap();
        let mut decoder = Decoder::<MAX_FRAME>::new();
        assert_eq!(decode(&mut decoder, bytes).unwrap().unwrap().response(), Ok(response));
    }
}

#[test]
fn logs_and_panics_round_trip() {
    let mut out = [0; MAX_FRAME + 1];
    let mut decoder = Decoder::<MAX_FRAME>::new();
    let log: &[u8] = &[0, 1, 0, 2];
    let bytes = encode(Kind::Log, 0, log, &mut out).unwrap();
    assert_eq!(decode(&mut decoder, bytes).unwrap().unwrap().log(), Ok(log));
    let report = PanicReport { file: "src/main.rs", line: 77 };
    let bytes = encode(Kind::Panic, 0, &report, &mut out).unwrap();
    assert_eq!(decode(&mut decoder, bytes).unwrap().unwrap().panic(), Ok(report));
}

#[test]
fn a_buffer_of_any_size_gives_a_frame_or_too_long() {
    let request = Request::Write { buffer: Buffer::Params, offset: 1000, data: &[0, 7, 0] };
    let mut full = [0; MAX_FRAME + 1];
    let need = encode(Kind::Request, 3, &request, &mut full).unwrap().len();
    for have in 0..need {
        let mut out = [0; MAX_FRAME];
        let error = encode(Kind::Request, 3, &request, &mut out[..have]).unwrap_err();
        assert_eq!(error, WireError::TooLong { have: have as u32 });
    }
    assert!(encode(Kind::Request, 3, &request, &mut full[..need]).is_ok());
}

#[test]
fn the_decoder_is_in_step_again_after_damage() {
    let mut out = [0; MAX_FRAME + 1];
    let good = encode(Kind::Request, 5, &Request::Info, &mut out).unwrap();
    let mut decoder = Decoder::<64>::new();
    for byte in [3; 100] {
        assert!(decoder.push(byte).is_none());
    }
    assert_eq!(decoder.push(0), Some(Err(WireError::TooLong { have: 64 })));
    assert!(decoder.push(0).is_none(), "terminators in a row are one");
    for byte in [9, 9] {
        assert!(decoder.push(byte).is_none());
    }
    assert_eq!(decoder.push(0), Some(Err(WireError::Stuffing)));
    let (last, front) = good.split_last().unwrap();
    for byte in front {
        assert!(decoder.push(*byte).is_none());
    }
    assert_eq!(decoder.push(*last).unwrap().unwrap().request(), Ok(Request::Info));
}

#[test]
fn every_bit_error_is_noticed() {
    let mut out = [0; MAX_FRAME + 1];
    let request = Request::ModelBegin { bytes: 100_000, crc: 0x1234_5678, arena_bytes: 0 };
    let good = encode(Kind::Request, 5, &request, &mut out).unwrap();
    for bit in 0..(good.len() - 1) * 8 {
        let mut bad = good.to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        let mut decoder = Decoder::<MAX_FRAME>::new();
        for byte in bad {
            if let Some(Ok(frame)) = decoder.push(byte) {
                panic!("bit {bit} went unnoticed: {frame:?}");
            }
        }
    }
}

#[test]
fn a_longer_payload_is_not_taken_for_a_known_message() {
    let mut out = [0; MAX_FRAME + 1];
    let bytes = encode(Kind::Request, 1, &(Request::Info, 1u8), &mut out).unwrap();
    let mut decoder = Decoder::<MAX_FRAME>::new();
    let frame = decode(&mut decoder, bytes).unwrap().unwrap();
    assert_eq!(frame.request(), Err(WireError::Payload));
}

/// The numbers on the wire are the protocol: this fails when a variant moves.
#[test]
fn variants_keep_their_numbers() {
    let number = |request: &Request<'_>| postcard_first(request);
    let requests = [
        Request::Hello { version: 0 },
        Request::Info,
        Request::Write { buffer: Buffer::Target, offset: 0, data: &[] },
        Request::Read { buffer: Buffer::State, offset: 0, bytes: 0 },
        Request::Infer { samples: 0 },
        Request::InferOne { data: &[] },
        Request::Train { samples: 0 },
        Request::SetHyper(Hyper::Lr(0.0)),
        Request::Reset,
        Request::ModelBegin { bytes: 0, crc: 0, arena_bytes: 0 },
        Request::ModelChunk { offset: 0, data: &[] },
        Request::ModelCommit,
        Request::Stats,
        Request::Verify,
        Request::Boot,
        Request::Profile { samples: 0, first: 0 },
        Request::Slots,
        Request::Activate { slot: 0 },
        Request::Checkpoint,
        Request::Forget,
        Request::Watch { reference: 0 },
        Request::Statistics,
        Request::Evaluate { samples: 0 },
        Request::Normalise { samples: 0 },
    ];
    for (place, request) in requests.iter().enumerate() {
        assert_eq!(usize::from(number(request)), place, "{request:?}");
    }
    let responses = [
        Response::Hello { version: 0 },
        Response::Fault(Fault::NoHello),
        Response::Done,
        Response::Info(INFO),
        Response::Data(&[]),
        Response::Ran { ticks: 0 },
        Response::Trained { loss: 0.0, ticks: 0 },
        Response::Committed { slot: 0, generation: 0 },
        Response::Stats(DeviceStats::default()),
    ];
    for (place, response) in responses.iter().enumerate() {
        assert_eq!(usize::from(postcard_first(response)), place, "{response:?}");
    }
}

/// Every message as the postcard crate writes it, and back.
fn equals_postcard<T: serde::Serialize + PartialEq + std::fmt::Debug>(message: &T) -> Vec<u8> {
    struct Bytes(Vec<u8>);
    impl codec::Sink for Bytes {
        fn bytes(&mut self, bytes: &[u8]) {
            self.0.extend_from_slice(bytes);
        }
    }
    let mut ours = Bytes(Vec::new());
    codec::write(message, &mut ours).unwrap();
    let mut theirs = [0; 512];
    assert_eq!(ours.0, postcard::to_slice(message, &mut theirs).unwrap(), "{message:?}");
    ours.0
}

#[test]
fn messages_are_postcards() {
    use crate::exec::SessionError;
    use crate::image::ImageError;
    use crate::plan::PlanError;
    let data = [0, 1, 127, 128, 255];
    let requests = [
        Request::Hello { version: 300 },
        Request::Write { buffer: Buffer::Input(200), offset: u32::MAX, data: &data },
        Request::SetHyper(Hyper::Lr(-0.1)),
        Request::SetHyper(Hyper::Updates(1 << 21)),
        Request::ModelCommit,
        Request::Profile { samples: u16::MAX, first: 127 },
        Request::Slots,
        Request::Activate { slot: u8::MAX },
        Request::Watch { reference: 300 },
        Request::Statistics,
        Request::Evaluate { samples: 200 },
        Request::Normalise { samples: 300 },
    ];
    for request in requests {
        let bytes = equals_postcard(&request);
        assert_eq!(codec::read::<Request<'_>>(&bytes), Ok((request, &[][..])));
    }
    let plan = PlanError::UnknownKind { step: 70_000, kind: 300 };
    let faults = [
        Fault::Image(ImageError::BadMagic { found: [1, 200, 3, 4] }),
        Fault::Image(ImageError::Crc { data: true, found: 1, expected: u32::MAX }),
        Fault::Image(ImageError::Train(plan)),
        Fault::Session(SessionError::ArenaTooSmall { need: 128, have: 127 }),
        Fault::Flash,
        Fault::EmptySlot { slot: 7 },
        Fault::NoCheckpoints,
    ];
    let responses = faults.map(Response::Fault).into_iter().chain([
        Response::Info(INFO),
        Response::Data(&data),
        Response::Ran { ticks: u32::MAX },
        Response::Trained { loss: f32::MIN_POSITIVE, ticks: 1 << 29 },
    ]);
    for response in responses {
        let bytes = equals_postcard(&response);
        assert_eq!(codec::read::<Response<'_>>(&bytes), Ok((response, &[][..])));
    }
}

proptest! {
    /// Any bytes: the crate's message, or no message where the crate finds none.
    #[test]
    fn any_bytes_read_as_postcard_reads_them(bytes in prop::collection::vec(prop_oneof![0u8..20, any::<u8>()], 0..40)) {
        let ours = codec::read::<Request<'_>>(&bytes).ok().map(|(request, _)| request);
        let theirs = postcard::take_from_bytes::<Request<'_>>(&bytes).ok().map(|(request, _)| request);
        // Compared as text: a learning rate may be no number.
        prop_assert_eq!(std::format!("{ours:?}"), std::format!("{theirs:?}"));
        let ours = codec::read::<Response<'_>>(&bytes).ok().map(|(response, _)| response);
        let theirs = postcard::take_from_bytes::<Response<'_>>(&bytes).ok().map(|(response, _)| response);
        prop_assert_eq!(std::format!("{ours:?}"), std::format!("{theirs:?}"));
    }
}

fn postcard_first<T: serde::Serialize>(message: &T) -> u8 {
    let mut out = [0; 512];
    postcard::to_slice(message, &mut out).unwrap()[0]
}

/// A tiny generator, so that the mutations are the same on every run.
struct Mutations(u32);

impl Mutations {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }
}

#[test]
fn a_hundred_thousand_mutated_frames_are_frames_or_errors() {
    let data: Vec<u8> = (0..=255).collect();
    let mut seeds = Vec::new();
    let mut out = [0; MAX_FRAME + 1];
    for request in [
        Request::Hello { version: 1 },
        Request::Write { buffer: Buffer::Input(0), offset: 70_000, data: &data },
        Request::Read { buffer: Buffer::Params, offset: 3, bytes: 256 },
        Request::ModelChunk { offset: 1 << 20, data: &data[..40] },
    ] {
        seeds.push(encode(Kind::Request, 77, &request, &mut out).unwrap().to_vec());
    }
    for response in [Response::Info(INFO), Response::Data(&data)] {
        seeds.push(encode(Kind::Response, 77, &response, &mut out).unwrap().to_vec());
    }
    let mut random = Mutations(0x9E37_79B9);
    let mut decoder = Decoder::<MAX_FRAME>::new();
    let (mut frames, mut errors) = (0u32, 0u32);
    for round in 0..100_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..random.next() % 4 {
            let at = random.next() as usize % bytes.len();
            match random.next() % 4 {
                0 => bytes[at] = random.next() as u8,
                1 => bytes[at] ^= 1 << (random.next() % 8),
                2 => bytes.insert(at, random.next() as u8),
                _ => bytes.truncate(at + 1),
            }
        }
        // Half of the mutants get a checksum that is right, to reach the payload's parser.
        if random.next().is_multiple_of(2) {
            bytes = with_right_crc(&bytes);
        }
        bytes.push(0);
        for byte in bytes {
            match decoder.push(byte) {
                Some(Ok(frame)) => {
                    frames += 1;
                    let _ = (frame.request(), frame.response(), frame.log(), frame.panic());
                }
                Some(Err(_)) => errors += 1,
                None => {}
            }
        }
    }
    assert!(frames > 30_000 && errors > 30_000, "{frames} frames, {errors} errors");
}

fn with_right_crc(stuffed: &[u8]) -> Vec<u8> {
    let mut body: Vec<u8> = stuffed.iter().copied().filter(|byte| *byte != 0).collect();
    let Ok(bytes) = cobs::decode_in_place(&mut body) else {
        return stuffed.to_vec();
    };
    body.truncate(bytes.saturating_sub(4));
    body.extend(crate::checksum::crc32(&body).to_le_bytes());
    let mut out = vec![0; cobs::max_encoding_length(body.len())];
    let used = cobs::encode(&body, &mut out);
    out.truncate(used);
    out
}

proptest! {
    #[test]
    fn any_bytes_give_frames_or_errors(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let mut decoder = Decoder::<MAX_FRAME>::new();
        for byte in bytes {
            if let Some(Ok(frame)) = decoder.push(byte) {
                let _ = (frame.request(), frame.response(), frame.log(), frame.panic());
            }
        }
    }

    #[test]
    fn any_write_round_trips(
        seq: u16,
        offset: u32,
        index: u8,
        data in prop::collection::vec(any::<u8>(), 0..=MAX_CHUNK),
    ) {
        let request = Request::Write { buffer: Buffer::Output(index), offset, data: &data };
        let mut out = [0; MAX_FRAME + 1];
        let bytes = encode(Kind::Request, seq, &request, &mut out).unwrap();
        prop_assert_eq!(bytes.iter().position(|byte| *byte == 0), Some(bytes.len() - 1));
        let mut decoder = Decoder::<MAX_FRAME>::new();
        let frame = decode(&mut decoder, bytes).unwrap().unwrap();
        prop_assert_eq!(frame.seq, seq);
        prop_assert_eq!(frame.request(), Ok(request));
    }
}
