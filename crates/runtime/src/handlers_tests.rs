//! Numbers of protocols: given out, forgotten, and given out again.

use ferroswarm_proto::multistream::ProtocolId;

use crate::handlers::{KEPT_BACK, NAMES_MAX, ProtocolNames};

#[test]
fn a_forgotten_name_leaves_its_place_and_its_number_names_nothing() {
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
fn a_forgotten_number_is_not_given_out_soon() {
    let names = ProtocolNames::default();
    let intern = |index: usize| {
        let name = ProtocolId::new(&format!("/p/{index}")).expect("a name");
        names.intern(name).expect("room")
    };
    let first = intern(0);
    names.forget(first);
    let mut others = (1..=KEPT_BACK).map(|index| {
        let number = intern(index);
        names.forget(number);
        number
    });
    assert!(others.all(|number| number != first));
    assert_eq!(intern(KEPT_BACK + 1), first);
}

#[test]
fn there_is_no_number_for_more_names_than_the_bound() {
    let names = ProtocolNames::default();
    for index in 0..NAMES_MAX {
        let name = ProtocolId::new(&format!("/p/{index}")).expect("a name");
        assert!(names.intern(name).is_some());
    }
    let one_more = ProtocolId::new("/one-more").expect("a name");
    assert_eq!(names.intern(one_more), None);
}
