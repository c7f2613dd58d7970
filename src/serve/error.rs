//! Errors as OpenAI's clients read them.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    status: StatusCode,
    message: String,
    /// The field that is to blame.
    param: Option<String>,
    code: Option<&'static str>,
}

impl ApiError {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            param: None,
            code: None,
        }
    }

    /// The request is a mistake.
    pub fn request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// A field of the request is a mistake.
    pub fn field(param: &str, message: impl Into<String>) -> Self {
        Self {
            param: Some(param.to_owned()),
            ..Self::request(message)
        }
    }

    /// The prompt and its longest answer are longer than the context.
    pub fn too_long(param: &str, message: impl Into<String>) -> Self {
        Self {
            code: Some("context_length_exceeded"),
            ..Self::field(param, message)
        }
    }

    /// No such model.
    pub fn no_model(name: &str, known: &[String]) -> Self {
        let message = format!(
            "the model {name:?} does not exist; there are {}",
            known.join(", ")
        );
        Self {
            status: StatusCode::NOT_FOUND,
            code: Some("model_not_found"),
            ..Self::field("model", message)
        }
    }

    /// No such database.
    pub fn no_database(id: &str) -> Self {
        let message = format!(
            "there is no database {id:?} here: it was not brought, or has gone since; bring it again"
        );
        Self {
            status: StatusCode::NOT_FOUND,
            code: Some("database_not_found"),
            ..Self::field("database", message)
        }
    }

    /// No such path.
    pub fn no_path(path: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            format!("nothing is served at {path}"),
        )
    }

    /// The path is there and its method is another.
    pub fn no_method() -> Self {
        let message = "this path has another method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, message)
    }

    /// The body is longer than bodies may be, or did not come whole.
    pub fn body(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, message)
    }

    /// No key, or another.
    pub fn key() -> Self {
        Self {
            code: Some("invalid_api_key"),
            ..Self::new(
                StatusCode::UNAUTHORIZED,
                "this server needs a key: Authorization: Bearer KEY",
            )
        }
    }

    /// More wait than may.
    pub fn busy(waiting: usize) -> Self {
        let message = format!("{waiting} requests wait already: try again in a second");
        Self {
            code: Some("queue_full"),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, message)
        }
    }

    /// The model is not there yet.
    pub fn loading() -> Self {
        let message = "the model is being loaded: try again in a second";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// The server is about to end.
    pub fn ending() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the server is ending")
    }

    /// It is the server's own fault.
    pub fn server(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// As OpenAI's API writes it.
    pub fn json(&self) -> Value {
        let kind = match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        json!({"error": {
            "message": self.message,
            "type": kind,
            "param": self.param,
            "code": self.code,
        }})
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.json())).into_response();
        let again = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ];
        if again.contains(&self.status) {
            let second = HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, second);
        }
        response
    }
}
