//! The upgrade of a connection from HTTP to WebSocket, in both roles.

use std::future::poll_fn;
use std::io;

use ferroswarm_websocket::{
    MaskKeys, Request, RequestKind, RequestReader, Session, Status, UpgradeRequest, append_refusal,
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
                refuse(&pipe, error.status()).await;
                return Err(ConnectError::Upgrade(error));
            }
        }
    };
    let RequestKind::Upgrade { accept } = &request.kind else {
        return Err(answer(&pipe, &request, &input).await);
    };
    if !address.serves(&request.target) {
        return Err(answer(&pipe, &request, &input).await);
    }
    let mut output = Vec::new();
    append_switch(accept, &mut output);
    write_all(&*pipe, &output).await?;
    input.drain(..request.head_bytes);
    Ok(FramePipe::new(pipe, Session::listener(), input))
}

/// Answers a request that is no upgrade of ours, of which `input` is what has arrived.
///
/// A handler of the application's for the port would take the pipe and `input` here.
async fn answer(pipe: &Arc<dyn BytePipe>, request: &Request, _input: &[u8]) -> ConnectError {
    refuse(pipe, Status::NOT_FOUND).await;
    ConnectError::NotWebSocket(request.method.clone())
}

async fn refuse(pipe: &Arc<dyn BytePipe>, status: Status) {
    let mut output = Vec::new();
    append_refusal(status, &mut output);
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
    input.drain(..length);
    let session = Session::dialer(MaskKeys::random());
    Ok(FramePipe::new(pipe, session, input))
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
