//! Protocol numbers: allocation, release and reuse.

use ferroswarm_proto::multistream::ProtocolId;

use crate::handlers::{FREE_MIN, NAMES_MAX, ProtocolNames};

#[test]
fn a_freed_number_has_no_name_and_its_entry_is_reused() {
    let names = ProtocolNames::default();
    let name = |index: usize| ProtocolId::new(&format!("/p/{index}")).expect("a name");
    let kept = names.intern(name(0)).expect("room");
    for index in 1..=2 * NAMES_MAX {
        let number = names.intern(name(index)).expect("room");
        assert_eq!(names.name(number), Some(name(index)));
        names.forget(number);
        assert_eq!(names.name(number), None);
    }
    assert_eq!(names.name(kept), Some(name(0)));
    assert_eq!(names.intern(name(0)), Some(kept));
}

#[test]
fn a_freed_number_is_not_reused_soon() {
    let names = ProtocolNames::default();
    let intern = |index: usize| {
        let name = ProtocolId::new(&format!("/p/{index}")).expect("a name");
        names.intern(name).expect("room")
    };
    let first = intern(0);
    names.forget(first);
    let mut others = (1..=FREE_MIN).map(|index| {
        let number = intern(index);
        names.forget(number);
        number
    });
    assert!(others.all(|number| number != first));
    assert_eq!(intern(FREE_MIN + 1), first);
}

#[test]
fn names_beyond_the_limit_get_no_number() {
    let names = ProtocolNames::default();
    for index in 0..NAMES_MAX {
        let name = ProtocolId::new(&format!("/p/{index}")).expect("a name");
        assert!(names.intern(name).is_some());
    }
    let one_more = ProtocolId::new("/one-more").expect("a name");
    assert_eq!(names.intern(one_more), None);
}
