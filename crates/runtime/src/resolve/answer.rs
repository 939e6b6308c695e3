//! The records of an answer that belong to the question; the rest of it is untrusted.

use hickory_resolver::proto::rr::rdata::TXT;
use hickory_resolver::proto::rr::{Name, RData, Record};

use super::{RecordKind, Records};

/// The longest text that is passed on. An address with a name and a peer takes less than 400 bytes.
const TEXT_BYTES_MAX: usize = 2_048;

/// Returns the records of type `kind` that `name` or one of its aliases owns.
pub(super) fn records(name: &Name, answers: &[Record], kind: RecordKind) -> Records {
    let owners = owners(name, answers);
    let mut records = Records::default();
    for record in answers
        .iter()
        .filter(|record| owners.contains(&&record.name))
    {
        match (&record.data, kind) {
            (RData::A(address), RecordKind::A) => records.values.push(address.to_string()),
            (RData::AAAA(address), RecordKind::Aaaa) => records.values.push(address.to_string()),
            (RData::TXT(text), RecordKind::Txt) => match joined(text) {
                Some(text) => records.values.push(text),
                None => records.omitted = records.omitted.saturating_add(1),
            },
            _ => {}
        }
    }
    records
}

/// Returns a name and its aliases: the targets of the CNAME records, which come in order.
fn owners<'a>(name: &'a Name, answers: &'a [Record]) -> Vec<&'a Name> {
    let mut owners = vec![name];
    for record in answers {
        if let RData::CNAME(target) = &record.data
            && owners.last() == Some(&&record.name)
        {
            owners.push(&target.0);
        }
    }
    owners
}

/// Joins the strings of a record, each of which has at most 255 bytes.
fn joined(text: &TXT) -> Option<String> {
    let bytes = text.txt_data.concat();
    (bytes.len() <= TEXT_BYTES_MAX)
        .then(|| String::from_utf8(bytes).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::rdata::{A, CNAME};

    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn record(owner: &str, data: RData) -> Record {
        Record::from_rdata(name(owner), 60, data)
    }

    fn address(owner: &str, last: u8) -> Record {
        record(owner, RData::A(A::new(192, 0, 2, last)))
    }

    fn alias(owner: &str, target: &str) -> Record {
        record(owner, RData::CNAME(CNAME(name(target))))
    }

    #[test]
    fn records_of_other_names_and_types_are_ignored() {
        let answers = [
            address("other.example.", 1),
            address("HOST.example.", 2),
            alias("other.example.", "elsewhere.example."),
            address("elsewhere.example.", 3),
        ];
        let asked = name("host.example.");
        let found = records(&asked, &answers, RecordKind::A);
        assert_eq!(found.values, ["192.0.2.2"]);
        assert_eq!(
            records(&asked, &answers, RecordKind::Txt),
            Records::default()
        );
    }

    #[test]
    fn aliases_are_followed() {
        let answers = [
            alias("a.example.", "b.example."),
            alias("b.example.", "c.example."),
            address("c.example.", 1),
        ];
        let found = records(&name("a.example."), &answers, RecordKind::A);
        assert_eq!(found.values, ["192.0.2.1"]);
    }

    #[test]
    fn texts_that_are_too_long_or_not_utf8_are_omitted() {
        let text =
            |strings: &[&[u8]]| record("a.example.", RData::TXT(TXT::from_bytes(strings.to_vec())));
        let long = [b'x'; 255];
        let answers = [
            text(&[b"dnsaddr=", b"/ip4"]),
            text(&[b"\xff"]),
            text(&[&long[..]; 9]),
            // Half a character in each string.
            text(&[b"\xc3", b"\xa9"]),
        ];
        let found = records(&name("a.example."), &answers, RecordKind::Txt);
        assert_eq!(found.values, ["dnsaddr=/ip4", "é"]);
        assert_eq!(found.omitted, 2);
    }
}
