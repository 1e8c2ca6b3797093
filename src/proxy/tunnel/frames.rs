//! Where one direction of a WebSocket stands in its frames (RFC 6455 section 5.2).
//!
//! Only the headers of frames are looked at, and of these only what says where the next one begins; the
//! payload is skipped by counting. That is enough to know whether a control frame may be put in: between
//! any two frames, also within a fragmented message (section 5.4), but not after a Close (section 5.5.1).

/// The opcode of a Close.
const CLOSE: u8 = 0x8;

/// The longest header: two bytes, a length of eight and a masking key of four.
const LONGEST: usize = 14;

/// Follows frames through their bytes, in whatever pieces they come.
#[derive(Debug, Default)]
pub(super) struct Frames {
    place: Place,
    /// A Close has begun.
    closing: bool,
}

#[derive(Debug)]
enum Place {
    /// In a header, of which so many bytes are known.
    Header([u8; LONGEST], usize),
    /// Before so many bytes of payload, of which there is at least one.
    Payload(u64),
    /// The length of a frame was none that may be: nothing is known any more.
    Lost,
}

impl Default for Place {
    fn default() -> Self {
        Self::Header([0; LONGEST], 0)
    }
}

impl Frames {
    /// These bytes follow.
    pub(super) fn advance(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            match &mut self.place {
                Place::Header(known, length) => {
                    known[*length] = first;
                    *length += 1;
                    bytes = rest;
                    if *length == 1 && first & 0x0f == CLOSE {
                        self.closing = true;
                    }
                    if let Some(next) = after(&known[..*length]) {
                        self.place = next;
                    }
                }
                Place::Payload(left) => {
                    let here = usize::try_from(*left).map_or(bytes.len(), |it| it.min(bytes.len()));
                    *left -= here as u64;
                    bytes = &bytes[here..];
                    if *left == 0 {
                        self.place = Place::default();
                    }
                }
                Place::Lost => return,
            }
        }
    }

    /// Whether a Close may follow here.
    pub(super) fn admits_close(&self) -> bool {
        matches!(self.place, Place::Header(_, 0)) && !self.closing
    }
}

/// What follows a header of which this is known; absent where more of it does.
fn after(known: &[u8]) -> Option<Place> {
    let (&length, rest) = known.get(1..)?.split_first()?;
    let mask = if length & 0x80 == 0 { 0 } else { 4 };
    let extended = match length & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    if rest.len() < extended + mask {
        return None;
    }
    let big_endian = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    let payload = match extended {
        0 => u64::from(length & 0x7f),
        _ => rest[..extended].iter().fold(0, big_endian),
    };
    Some(match payload {
        0 => Place::default(),
        // The most significant bit must be 0.
        1..=0x7fff_ffff_ffff_ffff => Place::Payload(payload),
        _ => Place::Lost,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame; servers do not mask, but whoever does is followed, too.
    fn frame(opcode: u8, payload: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut frame = vec![0x80 | opcode];
        match payload {
            0..126 => frame.push(mask | u8::try_from(payload).unwrap()),
            126..65536 => {
                frame.push(mask | 126);
                frame.extend(u16::try_from(payload).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((payload as u64).to_be_bytes());
            }
        }
        if masked {
            frame.extend([0x88; 4]);
        }
        // What looks like a header inside a payload is none.
        frame.extend(std::iter::repeat_n(0x88, payload));
        frame
    }

    fn frames() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let payload = prop_oneof![
            Just(0_usize),
            1..10_usize,
            120..130_usize,
            65_530..65_540_usize
        ];
        // All opcodes but that of a Close.
        let opcode = prop_oneof![0..8_u8, 9..16_u8];
        let one = (opcode, payload, any::<bool>());
        let one = one.prop_map(|(opcode, payload, masked)| frame(opcode, payload, masked));
        prop::collection::vec(one, 0..8)
    }

    proptest! {
        #[test]
        fn a_close_is_admitted_exactly_between_two_frames_however_the_bytes_are_cut(
            frames in frames(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let bytes = frames.concat();
            let mut boundaries = vec![0];
            boundaries.extend(frames.iter().scan(0, |end, frame| {
                *end += frame.len();
                Some(*end)
            }));
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            // Also where it matters most: around each boundary.
            cuts.extend(boundaries.iter().flat_map(|at| [at.saturating_sub(1), *at, at + 1, at + 2]));
            cuts.retain(|cut| *cut <= bytes.len());
            cuts.sort_unstable();
            let (mut followed, mut at) = (Frames::default(), 0);
            for cut in cuts {
                followed.advance(&bytes[at..cut]);
                at = cut;
                prop_assert_eq!(followed.admits_close(), boundaries.contains(&at), "at {}", at);
            }
        }

        #[test]
        fn whatever_comes_is_followed_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let (mut whole, mut cut) = (Frames::default(), Frames::default());
            whole.advance(&bytes);
            bytes.iter().for_each(|byte| cut.advance(std::slice::from_ref(byte)));
            prop_assert_eq!(whole.admits_close(), cut.admits_close());
        }
    }

    #[test]
    fn after_a_close_there_is_no_other() {
        let mut frames = Frames::default();
        frames.advance(&frame(1, 3, false));
        assert!(frames.admits_close());
        frames.advance(&frame(CLOSE, 2, false));
        assert!(!frames.admits_close());
    }

    #[test]
    fn after_a_length_that_may_not_be_nothing_is_known() {
        let mut frames = Frames::default();
        frames.advance(&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]);
        frames.advance(&frame(1, 3, false));
        assert!(!frames.admits_close());
    }
}
