//! Refusals that the transport makes before a service hears of a request (too large, no message of that kind, no such
//! method) have a code and a text alone. Here they become what all others are: typed. Never looks at a request.

use std::convert::Infallible;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::NamedService;
use tonic::{Code, Status};

use super::errors;

/// A service whose refusals are all typed.
#[derive(Debug, Clone)]
pub(super) struct Typed<S>(pub S);

impl<S: NamedService> NamedService for Typed<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Typed<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move { answer.await.map(typed) })
    }
}

/// The same answer; a refusal that has no details gets them. Ours have some, so this one is the transport's.
fn typed(response: http::Response<Body>) -> http::Response<Body> {
    // The status of a refusal stands among the headers; that of an answer follows its messages.
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok && status.details().is_empty() => explained(&status).into_http(),
        _ => response,
    }
}

/// What a status of the transport means. A request that is refused for what it is, is refused as an argument: it would
/// be the same the next time.
fn explained(status: &Status) -> Status {
    let message = status.message();
    match status.code() {
        Code::OutOfRange => {
            let message = message.trim_start_matches("Error, ");
            errors::status(Code::InvalidArgument, "REQUEST_TOO_LARGE", format!("the request is too large: {message}"))
        }
        Code::Internal => {
            let message = format!("the request is not the message that this method takes: {message}");
            errors::status(Code::InvalidArgument, "MALFORMED_REQUEST", message)
        }
        Code::Unimplemented => errors::status(
            Code::Unimplemented,
            "NOT_IMPLEMENTED",
            if message.is_empty() { "this daemon has no such method" } else { message },
        ),
        code => errors::status(code, "TRANSPORT", message),
    }
}
