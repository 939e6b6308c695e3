use ferroswarm_proto::multistream::NegotiationError;
use proptest::prelude::*;

use super::*;
use crate::error::HandshakeError;
use crate::identity::PeerId;
use crate::testing::{assert_opens, config, identity, sealed};

const SECURITIES: [Security; 2] = [Security::Tls, Security::Noise];
const YAMUX: &str = "/yamux/1.0.0";

/// One end, with its pending input and output.
struct End {
    upgrade: Upgrade,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Muxers offered inside the channel only, as by a peer without early negotiation.
    late_muxers: Option<Vec<&'static str>>,
    paused: bool,
    /// Keeps the upgrade at the pause.
    held: bool,
    upgraded: Option<Upgraded>,
}

impl End {
    fn new(role: Role, agreement: Agreement, securities: &[Security], muxers: &[&str]) -> Self {
        let handshake = config(&identity(), muxers);
        Self::with(UpgradeConfig {
            role,
            securities,
            agreement,
            handshake,
        })
    }

    fn with(config: UpgradeConfig<'_>) -> Self {
        Self {
            upgrade: Upgrade::new(config).unwrap(),
            input: Vec::new(),
            output: Vec::new(),
            late_muxers: None,
            paused: false,
            held: false,
            upgraded: None,
        }
    }

    fn with_late_muxers(mut self, muxers: &[&'static str]) -> Self {
        self.late_muxers = Some(muxers.to_vec());
        self
    }

    /// Advances as far as the input allows.
    fn advance(&mut self) -> Result<(), UpgradeError> {
        while self.upgraded.is_none() && !(self.paused && self.held) {
            match self.upgrade.advance(&mut self.input, &mut self.output)? {
                Progress::Waiting => break,
                Progress::Secured => self.pause(),
                Progress::Complete(upgraded) => self.upgraded = Some(upgraded),
            }
        }
        Ok(())
    }

    fn pause(&mut self) {
        assert!(!self.paused, "pauses only once");
        self.paused = true;
        assert!(self.upgrade.peer().is_some());
        if let Some(muxers) = self.late_muxers.take() {
            self.upgrade.config.muxers = muxers.into_iter().map(Into::into).collect();
        }
    }

    fn id(&self) -> PeerId {
        *self.upgrade.config.identity.peer_id()
    }

    fn upgraded(self) -> Upgraded {
        assert!(self.paused);
        self.upgraded.expect("the upgrade is complete")
    }
}

/// Carries bytes both ways in pieces of the given lengths, cycled, until neither end has output.
fn run(dialer: &mut End, listener: &mut End, cuts: &[usize]) -> Result<(), (Role, UpgradeError)> {
    let mut cuts = cuts.iter().copied().cycle();
    let mut cut = || cuts.next().unwrap_or(usize::MAX);
    dialer.advance().map_err(|error| (Role::Dialer, error))?;
    listener
        .advance()
        .map_err(|error| (Role::Listener, error))?;
    while !(dialer.output.is_empty() && listener.output.is_empty()) {
        carry(dialer, listener, &mut cut).map_err(|error| (Role::Listener, error))?;
        carry(listener, dialer, &mut cut).map_err(|error| (Role::Dialer, error))?;
    }
    Ok(())
}

fn carry(
    from: &mut End,
    to: &mut End,
    cut: &mut impl FnMut() -> usize,
) -> Result<(), UpgradeError> {
    let mut bytes = std::mem::take(&mut from.output);
    while !bytes.is_empty() {
        let piece = cut().clamp(1, bytes.len());
        to.input.extend(bytes.drain(..piece));
        to.advance()?;
    }
    Ok(())
}

/// Returns the end that fails first and its error; checks that it fails only once.
fn failure(dialer: &mut End, listener: &mut End) -> (Role, UpgradeError) {
    let (role, error) = run(dialer, listener, &[]).expect_err("one end fails");
    let end = match role {
        Role::Dialer => dialer,
        Role::Listener => listener,
    };
    assert!(matches!(end.advance(), Err(UpgradeError::Over)));
    (role, error)
}

fn pair(agreement: Agreement, securities: &[Security], muxers: &[&str]) -> (End, End) {
    (
        End::new(Role::Dialer, agreement, securities, muxers),
        End::new(Role::Listener, agreement, securities, muxers),
    )
}

/// Asserts that a record of either end opens at the other.
fn assert_connected(dialer: &mut Upgraded, listener: &mut Upgraded) {
    let mut record = sealed(&mut dialer.channel, b"to the listener");
    assert_opens(&mut listener.channel, &mut record, b"to the listener");
    let mut record = sealed(&mut listener.channel, b"to the dialer");
    assert_opens(&mut dialer.channel, &mut record, b"to the dialer");
}

fn agreements() -> impl Strategy<Value = Agreement> {
    prop_oneof![
        Just(Agreement::Assumed),
        Just(Agreement::Awaited),
        Just(Agreement::Lazy)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn prop_outcome_does_not_depend_on_splits(
        agreement in agreements(),
        security in prop::sample::select(SECURITIES.to_vec()),
        has_early_muxer: bool,
        cuts in prop::collection::vec(prop_oneof![1_usize..20, 1_usize..3_000], 1..20),
    ) {
        let early: &[&str] = if has_early_muxer { &[YAMUX] } else { &[] };
        let (mut dialer, mut listener) = pair(agreement, &[security], early);
        if !has_early_muxer {
            dialer = dialer.with_late_muxers(&["/mplex/6.7.0", YAMUX]);
            listener = listener.with_late_muxers(&[YAMUX]);
        }
        let ids = [dialer.id(), listener.id()];
        run(&mut dialer, &mut listener, &cuts).unwrap();
        prop_assert!(dialer.input.is_empty() && listener.input.is_empty());
        let (mut dialer, mut listener) = (dialer.upgraded(), listener.upgraded());
        prop_assert_eq!([listener.peer.id, dialer.peer.id], ids);
        for end in [&dialer, &listener] {
            prop_assert_eq!(end.peer.security, security);
            prop_assert_eq!(end.peer.muxer.as_deref(), has_early_muxer.then_some(YAMUX));
            prop_assert!(end.plaintext.is_empty());
        }
        assert_connected(&mut dialer, &mut listener);
    }

    #[test]
    fn prop_arbitrary_input_never_authenticates(
        agreement in agreements(),
        security in prop::sample::select(SECURITIES.to_vec()),
        is_dialer: bool,
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 0..6),
    ) {
        let role = if is_dialer { Role::Dialer } else { Role::Listener };
        let mut end = End::new(role, agreement, &[security], &[YAMUX]);
        for piece in pieces {
            end.input.extend(piece);
            if end.advance().is_err() {
                prop_assert!(matches!(end.advance(), Err(UpgradeError::Over)));
                break;
            }
        }
        prop_assert!(!end.paused);
    }
}

#[test]
fn pauses_after_authentication_and_before_the_muxer_negotiation() {
    for security in SECURITIES {
        let (dialer, listener) = pair(Agreement::Lazy, &[security], &[]);
        let mut dialer = dialer.with_late_muxers(&[YAMUX]);
        let mut listener = listener.with_late_muxers(&[YAMUX]);
        dialer.held = true;
        run(&mut dialer, &mut listener, &[]).unwrap();
        assert!(dialer.paused && listener.paused);
        let peer = dialer.upgrade.peer().unwrap();
        assert_eq!((peer.id, peer.security), (listener.id(), security));
        assert_eq!(listener.upgrade.peer().unwrap().id, dialer.id());
        assert!(listener.upgraded.is_none());
        dialer.held = false;
        run(&mut dialer, &mut listener, &[]).unwrap();
        assert!(dialer.upgrade.peer().is_none());
        assert_connected(&mut dialer.upgraded(), &mut listener.upgraded());
    }
}

#[test]
fn a_lazy_dialer_sends_its_handshake_after_the_proposal() {
    for security in SECURITIES {
        let mut lazy = End::new(Role::Dialer, Agreement::Lazy, &[security], &[]);
        let mut awaiting = End::new(Role::Dialer, Agreement::Awaited, &[security], &[]);
        lazy.advance().unwrap();
        awaiting.advance().unwrap();
        assert!(lazy.output.starts_with(&awaiting.output));
        assert!(lazy.output.len() > awaiting.output.len());
    }
    let mut lazy = End::new(Role::Dialer, Agreement::Lazy, &SECURITIES, &[]);
    let mut awaiting = End::new(Role::Dialer, Agreement::Awaited, &SECURITIES, &[]);
    lazy.advance().unwrap();
    awaiting.advance().unwrap();
    assert_eq!(lazy.output, awaiting.output);
}

#[test]
fn agrees_on_a_common_protocol() {
    let mut dialer = End::new(Role::Dialer, Agreement::Lazy, &SECURITIES, &[YAMUX]);
    let noise = [Security::Noise];
    let mut listener = End::new(Role::Listener, Agreement::Lazy, &noise, &[YAMUX]);
    run(&mut dialer, &mut listener, &[]).unwrap();
    assert_eq!(listener.upgraded().peer.security, Security::Noise);
}

#[test]
fn without_a_protocol_in_common_there_is_no_handshake() {
    let mut dialer = End::new(Role::Dialer, Agreement::Awaited, &[Security::Tls], &[]);
    let mut listener = End::new(Role::Listener, Agreement::Awaited, &[Security::Noise], &[]);
    let failed = failure(&mut dialer, &mut listener);
    assert!(matches!(failed, (Role::Dialer, UpgradeError::Unsupported)));
    for role in [Role::Dialer, Role::Listener] {
        let config = UpgradeConfig {
            role,
            securities: &[],
            agreement: Agreement::Assumed,
            handshake: config(&identity(), &[]),
        };
        assert!(matches!(
            Upgrade::new(config),
            Err(UpgradeError::Unsupported)
        ));
    }
}

#[test]
fn peers_of_other_protocols_are_refused_immediately() {
    for agreement in [Agreement::Awaited, Agreement::Lazy] {
        for role in [Role::Dialer, Role::Listener] {
            let mut end = End::new(role, agreement, &[Security::Noise], &[]);
            end.input.extend(b"GET / HTTP/1.1\r\n");
            let refused = end.advance();
            assert!(matches!(
                refused,
                Err(UpgradeError::Negotiation(NegotiationError::Version))
            ));
        }
    }
}

#[test]
fn a_handshake_that_fails_leaves_its_alert_in_the_output() {
    for security in SECURITIES {
        let mut handshake = config(&identity(), &[]);
        let expected = *identity().peer_id();
        handshake.expected_peer = Some(expected);
        let mut dialer = End::with(UpgradeConfig {
            role: Role::Dialer,
            securities: &[security],
            agreement: Agreement::Lazy,
            handshake,
        });
        let mut listener = End::new(Role::Listener, Agreement::Lazy, &[security], &[]);
        let (role, error) = failure(&mut dialer, &mut listener);
        assert_eq!(role, Role::Dialer);
        let mismatch = HandshakeError::PeerIdMismatch {
            expected,
            actual: listener.id(),
        };
        assert_eq!(error.to_string(), mismatch.to_string());
        assert!(!dialer.paused && dialer.upgrade.peer().is_none());
        assert_eq!(!dialer.output.is_empty(), security == Security::Tls);
    }
}

/// Returns a paused listener that offers yamux, and the channel of a dialer that has not proposed a
/// muxer.
fn listener_before_muxing(security: Security) -> (End, Channel) {
    let (mut dialer, listener) = pair(Agreement::Lazy, &[security], &[]);
    let mut listener = listener.with_late_muxers(&[YAMUX]);
    run(&mut dialer, &mut listener, &[]).unwrap();
    assert!(listener.paused && listener.upgraded.is_none());
    (listener, dialer.upgraded().channel)
}

#[test]
fn without_a_muxer_in_common_the_upgrade_fails() {
    for security in SECURITIES {
        let (dialer, listener) = pair(Agreement::Lazy, &[security], &[]);
        let mut dialer = dialer.with_late_muxers(&["/mplex/6.7.0"]);
        let mut listener = listener.with_late_muxers(&[YAMUX]);
        let failed = failure(&mut dialer, &mut listener);
        assert!(matches!(failed, (Role::Dialer, UpgradeError::Unsupported)));
        assert!(dialer.paused);
    }
}

#[test]
fn a_corrupted_record_or_a_closed_channel_ends_the_muxer_negotiation() {
    for security in SECURITIES {
        let (mut listener, mut channel) = listener_before_muxing(security);
        let mut record = sealed(&mut channel, b"anything");
        *record.last_mut().unwrap() ^= 1;
        listener.input.extend(record);
        assert!(matches!(listener.advance(), Err(UpgradeError::Record(_))));
        assert!(matches!(listener.advance(), Err(UpgradeError::Over)));
    }
    let (mut listener, mut channel) = listener_before_muxing(Security::Tls);
    channel.close(&mut listener.input);
    assert!(matches!(listener.advance(), Err(UpgradeError::Ended)));
}

#[test]
fn bytes_after_the_handshake_stay_in_the_input() {
    for security in SECURITIES {
        let (mut dialer, mut listener) = pair(Agreement::Lazy, &[security], &[YAMUX]);
        while dialer.upgraded.is_none() {
            dialer.advance().unwrap();
            listener.input.append(&mut dialer.output);
            if dialer.upgraded.is_none() {
                listener.advance().unwrap();
                dialer.input.append(&mut listener.output);
            }
        }
        let next = sealed(&mut dialer.upgraded().channel, b"first frames");
        listener.input.extend(&next);
        listener.advance().unwrap();
        assert_eq!(listener.input, next);
        let mut rest = std::mem::take(&mut listener.input);
        assert_opens(&mut listener.upgraded().channel, &mut rest, b"first frames");
    }
}

#[test]
fn plaintext_after_the_muxer_negotiation_is_returned() {
    for security in SECURITIES {
        let (mut listener, mut channel) = listener_before_muxing(security);
        let mut plaintext = Vec::new();
        Dialer::new([protocol(YAMUX)].into(), Mode::V1).poll_output(&mut plaintext);
        plaintext.extend(b"first frames");
        listener.input.extend(sealed(&mut channel, &plaintext));
        let next = sealed(&mut channel, b"second frames");
        listener.input.extend(&next);
        listener.advance().unwrap();
        assert_eq!(listener.input, next);
        assert_eq!(listener.upgraded().plaintext, b"first frames");
    }
}
