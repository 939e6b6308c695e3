//! A UDP socket with the segmentation offloads of the kernel.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::task::{Context, Poll};

use ferroswarm_quic::{EcnCodepoint, Transmit};
use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::transport::host::share_port;

/// Buffers of the kernel that are asked for, in bytes, as go-libp2p does: at 1 GB/s they hold what
/// arrives within 7 ms. The kernel may grant less (`net.core.rmem_max`).
const BUFFER_BYTES: usize = 7 << 20;

/// Datagrams received per system call, and the room for each: a batch of the kernel, which has up to
/// 64 KiB.
const BATCH: usize = 4;
const BATCH_BYTES: usize = 64 << 10;

/// A bound socket.
pub(super) struct Socket {
    socket: UdpSocket,
    state: UdpSocketState,
}

impl Socket {
    /// Binds. IPv6 sockets are IPv6-only, so that both families can share a port.
    pub(super) fn bind(address: SocketAddr, shares_port: bool) -> io::Result<Self> {
        let raw = RawSocket::new(
            Domain::for_address(address),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        if address.is_ipv6() {
            raw.set_only_v6(true)?;
        }
        if shares_port {
            share_port(&raw)?;
        }
        raw.set_nonblocking(true)?;
        // Best effort: the socket works with what the kernel grants.
        raw.set_recv_buffer_size(BUFFER_BYTES).ok();
        raw.set_send_buffer_size(BUFFER_BYTES).ok();
        raw.bind(&address.into())?;
        let socket = UdpSocket::from_std(raw.into())?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        Ok(Self { socket, state })
    }

    pub(super) fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Returns whether the path's own limit of a datagram is known, as the kernel does not fragment.
    pub(super) fn discovers_mtu(&self) -> bool {
        !self.state.may_fragment()
    }

    /// Returns the number of datagrams that one call may send.
    pub(super) fn datagrams_max(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Sends datagrams; a failure other than `WouldBlock` loses them.
    pub(super) fn try_send(&self, transmit: &Transmit, bytes: &[u8]) -> io::Result<()> {
        let transmit = quinn_udp::Transmit {
            destination: transmit.destination,
            ecn: transmit
                .ecn
                .and_then(|ecn| quinn_udp::EcnCodepoint::from_bits(ecn as u8)),
            contents: &bytes[..transmit.size],
            segment_size: transmit.segment_size,
            src_ip: transmit.src_ip,
        };
        let send = || self.state.try_send((&self.socket).into(), &transmit);
        // Without asking for readiness first, which is not known yet of a new socket.
        match send() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // Clears the readiness, unless there is room by now.
                self.socket.try_io(Interest::WRITABLE, send)
            }
            sent => sent,
        }
    }

    /// Waits until it may take more.
    pub(super) async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_recv_ready(cx)
    }

    /// Receives into `buffer`, which holds at least [`BATCH`] batches, and passes each batch on;
    /// `WouldBlock` if there is none.
    pub(super) fn try_receive(
        &self,
        buffer: &mut [u8],
        mut pass: impl FnMut(Batch<'_>),
    ) -> io::Result<()> {
        let mut metas = [RecvMeta::default(); BATCH];
        let mut chunks = buffer.chunks_mut(BATCH_BYTES);
        let mut slices = [(); BATCH].map(|()| IoSliceMut::new(chunks.next().unwrap_or_default()));
        let count = self.socket.try_io(Interest::READABLE, || {
            self.state
                .recv(UdpSockRef::from(&self.socket), &mut slices, &mut metas)
        })?;
        for (meta, slice) in metas.iter().zip(&slices).take(count) {
            pass(Batch {
                remote: meta.addr,
                local: meta.dst_ip,
                ecn: meta.ecn.and_then(|ecn| EcnCodepoint::from_bits(ecn as u8)),
                bytes: &slice[..meta.len],
                stride: meta.stride.max(1),
            });
        }
        Ok(())
    }
}

/// Datagrams of one remote, all but the last of the same length.
pub(super) struct Batch<'a> {
    pub(super) remote: SocketAddr,
    pub(super) local: Option<std::net::IpAddr>,
    pub(super) ecn: Option<EcnCodepoint>,
    pub(super) bytes: &'a [u8],
    pub(super) stride: usize,
}
