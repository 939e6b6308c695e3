//! The upgrade of a connection from HTTP to WebSocket, in both roles.

use std::future::poll_fn;
use std::io;

use ferroswarm_websocket::{
    MaskKeys, RequestKind, RequestReader, Session, Status, UpgradeRequest, append_refusal,
    append_switch,
};

use crate::command::ConnectError;
use crate::pipe::{BytePipe, write_all};
use crate::sync::Arc;
use crate::transport::Carrier;
use crate::upgrade::farewell;

use super::address::Address;
use super::pipe::FramePipe;

/// Bytes read at once: a request of a browser fits.
const READ_BYTES: usize = 2 << 10;

/// Characters of a remote's method that an error keeps: those that are registered have up to 16.
const METHOD_CHARS_MAX: usize = 16;

/// Reads the request of a dialer and upgrades the connection. Anything but an upgrade gets an answer,
/// after which the remote has a moment to read it. The caller bounds the time.
///
/// # Errors
/// Errors of the pipe, and the reason for which the request is refused.
pub(super) async fn accept(
    pipe: Arc<dyn BytePipe>,
    address: &Address,
) -> Result<FramePipe, ConnectError> {
    let mut reader = RequestReader::default();
    let mut input = Vec::new();
    let request = loop {
        read(&*pipe, &mut input).await?;
        match reader.read(&input) {
            Ok(None) => {}
            Ok(Some(request)) => break request,
            Err(error) => {
                refuse(&pipe, error.status(), &input).await;
                return Err(ConnectError::Upgrade(error));
            }
        }
    };
    let accept = match &request.kind {
        RequestKind::Upgrade { accept } if address.serves(&request) => accept,
        _ => {
            refuse(&pipe, Status::NOT_FOUND, &input).await;
            let method = request.method.chars().take(METHOD_CHARS_MAX).collect();
            return Err(ConnectError::NotWebSocket(method));
        }
    };
    let mut output = Vec::new();
    append_switch(accept, &mut output);
    write_all(&*pipe, &output).await?;
    let early = input.split_off(request.head_bytes);
    Ok(FramePipe::new(pipe, Session::listener(), early))
}

/// Refuses the request at the front of `input`.
async fn refuse(pipe: &Arc<dyn BytePipe>, status: Status, input: &[u8]) {
    let mut output = Vec::new();
    append_refusal(status, input, &mut output);
    // A remote that is gone needs no answer.
    if write_all(&**pipe, &output).await.is_ok() {
        farewell(&Carrier::Pipe(Arc::clone(pipe))).await;
    }
}

/// Requests the upgrade and reads the answer. The caller bounds the time.
///
/// # Errors
/// Errors of the pipe, and the reason for which the answer is refused.
pub(super) async fn dial(
    pipe: Arc<dyn BytePipe>,
    address: &Address,
) -> Result<FramePipe, ConnectError> {
    let mut request = UpgradeRequest::new().map_err(io::Error::other)?;
    let mut output = Vec::new();
    let path = address.path.as_deref().unwrap_or("/");
    request.append(&address.host(), path, &mut output);
    write_all(&*pipe, &output).await?;
    let mut input = Vec::new();
    let length = loop {
        read(&*pipe, &mut input).await?;
        match request.read_response(&input) {
            Ok(None) => {}
            Ok(Some(length)) => break length,
            Err(error) => return Err(ConnectError::UpgradeRefused(error)),
        }
    };
    let early = input.split_off(length);
    let session = Session::dialer(MaskKeys::random());
    Ok(FramePipe::new(pipe, session, early))
}

/// Appends what the remote sends next to `input`.
async fn read(pipe: &dyn BytePipe, input: &mut Vec<u8>) -> Result<(), ConnectError> {
    let mut piece = [0; READ_BYTES];
    loop {
        match pipe.try_read(&mut piece) {
            Ok(0) => return Err(ConnectError::Ended),
            Ok(count) => {
                input.extend_from_slice(&piece[..count]);
                return Ok(());
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => poll_fn(|cx| pipe.poll_readable(cx)).await?,
                io::ErrorKind::Interrupted => tokio::task::yield_now().await,
                _ => return Err(error.into()),
            },
        }
    }
}
