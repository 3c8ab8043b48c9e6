//! Class `communication`: one exchange with a person. Put one by one or recorded as events.

use super::{ClassValue, DecodeError};
use crate::base::codec::Reader;
use crate::base::secret::PlainValue;
use crate::base::time::Timestamp;
use crate::catalog::class::{ClassDef, ClassId, Form, Identifier, Sensitivity};
use crate::catalog::fields::choices;
use crate::catalog::fields::record::{self, TIME_BYTES, bytes_of};
use crate::catalog::mask::{Masker, Rule};
use crate::catalog::path::At;
use crate::catalog::text::Text;
use crate::catalog::validate::{Check, Reason};

/// Those who took part.
const PARTICIPANTS_MAX: usize = 64;
/// Bytes of the name, address or number of one of them.
const PARTICIPANT_BYTES_MAX: usize = 256;
/// Bytes of a subject line.
const SUBJECT_BYTES_MAX: usize = 1024;
/// Bytes of a body; longer ones are documents.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a conversation's id.
const THREAD_BYTES_MAX: usize = 128;
/// The version of the encoding.
const VERSION: u8 = 1;

choices! {
    /// The way a message travelled.
    Channel {
        /// Not stated. Refused.
        #[default]
        Unspecified = 0,
        /// Email.
        Email = 1,
        /// A phone or video call; the body is its transcript or note.
        Call = 2,
        /// Chat.
        Chat = 3,
        /// Text message.
        Sms = 4,
        /// Paper.
        Letter = 5,
        /// A support form or ticket.
        Ticket = 6,
        /// Anything else.
        Other = 7,
    }
}

choices! {
    /// Who wrote or called.
    Direction {
        /// Not stated.
        #[default]
        Unspecified = 0,
        /// From the subject to the operator.
        Inbound = 1,
        /// From the operator to the subject.
        Outbound = 2,
    }
}

/// One exchange with a person.
#[derive(Default)]
pub struct Communication {
    /// How it travelled. Required.
    pub channel: Channel,
    /// Who began it.
    pub direction: Direction,
    /// When it took place. Required.
    pub time: Option<Timestamp>,
    /// Who took part: names, addresses or numbers.
    pub participants: Vec<Text>,
    /// Subject line or topic.
    pub subject: Text,
    /// The text, of several lines.
    pub body: Text,
    /// Groups the messages of one conversation.
    pub thread_id: Text,
}

impl ClassValue for Communication {
    const DEF: ClassDef = ClassDef {
        id: ClassId::new("communication"),
        sensitivity: Sensitivity::Personal,
        form: Form::ItemOrEvents,
        identifiers: &[],
        keep_default: Some("P2Y"),
        purposes_default: &["service_delivery"],
        fields: &["channel", "direction", "time", "participants", "subject", "body", "thread_id"],
    };

    fn canonicalise(&mut self, check: &mut Check) {
        if self.channel == Channel::Unspecified {
            check.refuse(&At::field("channel"), Reason::Required);
        }
        if self.time.is_none() {
            check.refuse(&At::field("time"), Reason::Required);
        }
        check.list(At::field("participants"), &mut self.participants, PARTICIPANTS_MAX, |check, at, participant| {
            check.required_line(&at, participant, PARTICIPANT_BYTES_MAX);
        });
        check.line(&At::field("subject"), &mut self.subject, SUBJECT_BYTES_MAX);
        check.block(&At::field("body"), &mut self.body, BODY_BYTES_MAX);
        check.line(&At::field("thread_id"), &mut self.thread_id, THREAD_BYTES_MAX);
    }

    fn masked(&self, masker: &mut Masker<'_>) -> Self {
        Self {
            channel: masker.keep("channel", self.channel),
            direction: masker.keep("direction", self.direction),
            time: masker.keep("time", self.time),
            participants: masker.texts("participants", &self.participants, Rule::Hidden),
            subject: masker.text("subject", &self.subject, Rule::Hidden),
            body: masker.text("body", &self.body, Rule::Hidden),
            thread_id: masker.text("thread_id", &self.thread_id, Rule::Hidden),
        }
    }

    fn encode(&self) -> PlainValue {
        let texts = bytes_of(&self.participants) + bytes_of([&self.subject, &self.body, &self.thread_id]);
        record::encode(VERSION, 3 + TIME_BYTES + 4 + texts, |w| {
            record::write_time(w.u8(self.channel.code()).u8(self.direction.code()), self.time)
                .list(self.participants.iter(), |w, participant| w.text(participant.expose()))
                .text(self.subject.expose())
                .text(self.body.expose())
                .text(self.thread_id.expose())
        })
    }

    fn decode(version: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if version != VERSION {
            return Err(DecodeError::Version);
        }
        Ok(Self {
            channel: record::choice(reader, Channel::from_code)?,
            direction: record::choice(reader, Direction::from_code)?,
            time: record::time(reader)?,
            participants: reader.list(record::text)?,
            subject: record::text(reader)?,
            body: record::text(reader)?,
            thread_id: record::text(reader)?,
        })
    }

    fn identifiers(&self) -> Vec<Identifier> {
        Vec::new()
    }

    fn time(&self) -> Option<Timestamp> {
        self.time
    }
}
