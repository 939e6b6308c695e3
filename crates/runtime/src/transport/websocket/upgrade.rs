//! The upgrade of a connection from HTTP to WebSocket, in both roles.

use std::future::poll_fn;
use std::io;

use ferroswarm_websocket::{
    CONTINUE, MaskKeys, PlainRequest, Request, RequestKind, RequestReader, Session, Status,
    UpgradeRequest, append_answer, append_refusal, append_switch,
};
use multiaddr::Multiaddr;
use tokio::sync::Semaphore;

use crate::command::ConnectError;
use crate::pipe::{BytePipe, write_all};
use crate::sync::Arc;
use crate::transport::Carrier;
use crate::upgrade::farewell;

use super::address::Address;
use super::pipe::FramePipe;
use super::requests::{HttpRequest, Requests};

/// Bytes read at once: a request of a browser fits.
const READ_BYTES: usize = 2 << 10;

/// Characters of a remote's method that an error keeps: those that are registered have up to 16.
const METHOD_CHARS_MAX: usize = 16;

/// A listener, as an accepted connection finds it.
pub(super) struct Site<'a> {
    pub(super) address: &'a Address,
    pub(super) local: Multiaddr,
    pub(super) remote: Multiaddr,
    /// Where requests go that are no upgrade.
    pub(super) requests: Option<&'a Requests>,
    /// Permits for those of the listener.
    pub(super) places: &'a Semaphore,
}

impl Site<'_> {
    /// Reads the request of a dialer and upgrades the connection. Anything but an upgrade gets an
    /// answer, after which the remote has a moment to read it. The caller bounds the time.
    ///
    /// # Errors
    /// Errors of the pipe, and the reason for which the request is refused;
    /// [`ConnectError::Answered`] if it was none for an upgrade, and the application has answered it.
    pub(super) async fn accept(&self, pipe: Arc<dyn BytePipe>) -> Result<FramePipe, ConnectError> {
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
            RequestKind::Upgrade { accept } if self.address.serves(&request) => accept,
            RequestKind::Other if self.requests.is_some() => {
                return Err(self.answer(&pipe, &request, input).await);
            }
            _ => return Err(refuse_request(&pipe, Status::NOT_FOUND, &request, &input).await),
        };
        let mut output = Vec::new();
        append_switch(accept, &mut output);
        write_all(&*pipe, &output).await?;
        let early = input.split_off(request.head_bytes);
        Ok(FramePipe::new(pipe, Session::listener(), early))
    }

    /// Lets the application answer a request, of which `input` is what has arrived.
    async fn answer(
        &self,
        pipe: &Arc<dyn BytePipe>,
        request: &Request,
        mut input: Vec<u8>,
    ) -> ConnectError {
        // Held until the answer is written.
        let Ok(_place) = self.places.try_acquire() else {
            return refuse_request(pipe, Status::UNAVAILABLE, request, &input).await;
        };
        let head = match PlainRequest::read(&input[..request.head_bytes]) {
            Ok(head) => head,
            Err(status) => return refuse_request(pipe, status, request, &input).await,
        };
        let body = match read_body(&**pipe, &head, request.head_bytes, &mut input).await {
            Ok(body) => body,
            Err(error) => return error,
        };
        let asked = HttpRequest {
            head,
            body,
            local: self.local.clone(),
            remote: self.remote.clone(),
            is_secure: self.address.tls.is_some(),
        };
        let answer = match self.requests {
            Some(requests) => requests.ask(asked).await,
            None => None,
        };
        let Some(answer) = answer else {
            return ConnectError::Internal;
        };
        let mut output = Vec::new();
        append_answer(&answer, &input, &mut output);
        drop(answer);
        send_last(pipe, &output).await;
        ConnectError::Answered
    }
}

/// Returns the body of a request, which follows the head at the front of `input`.
async fn read_body(
    pipe: &dyn BytePipe,
    head: &PlainRequest,
    head_bytes: usize,
    input: &mut Vec<u8>,
) -> Result<Vec<u8>, ConnectError> {
    let end = head_bytes + head.body_bytes;
    if head.expects_continue && input.len() < end {
        write_all(pipe, CONTINUE).await?;
    }
    while input.len() < end {
        read(pipe, input).await?;
    }
    let mut body = input.split_off(head_bytes);
    body.truncate(head.body_bytes);
    Ok(body)
}

/// Refuses a request that is not for our WebSocket.
async fn refuse_request(
    pipe: &Arc<dyn BytePipe>,
    status: Status,
    request: &Request,
    input: &[u8],
) -> ConnectError {
    refuse(pipe, status, input).await;
    let method = request.method.chars().take(METHOD_CHARS_MAX).collect();
    ConnectError::NotWebSocket(method)
}

/// Refuses the request at the front of `input`.
async fn refuse(pipe: &Arc<dyn BytePipe>, status: Status, input: &[u8]) {
    let mut output = Vec::new();
    append_refusal(status, input, &mut output);
    send_last(pipe, &output).await;
}

/// Sends the end of a connection, and lets the remote read it.
async fn send_last(pipe: &Arc<dyn BytePipe>, output: &[u8]) {
    // A remote that is gone needs no answer.
    if write_all(&**pipe, output).await.is_ok() {
        farewell(&Carrier::Pipe(Arc::clone(pipe))).await;
    }
}

/// Requests the upgrade, of the host `name` if the address has none, and reads the answer. The caller
/// bounds the time.
///
/// # Errors
/// Errors of the pipe, and the reason for which the answer is refused.
pub(super) async fn dial(
    pipe: Arc<dyn BytePipe>,
    address: &Address,
    name: Option<&str>,
) -> Result<FramePipe, ConnectError> {
    let mut request = UpgradeRequest::new().map_err(io::Error::other)?;
    let mut output = Vec::new();
    let path = address.path.as_deref().unwrap_or("/");
    request.append(&address.host(name), path, &mut output);
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
