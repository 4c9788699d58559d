//! The API over a socket.

use crate::server::{SMALL, TestServer};

#[tokio::test]
async fn the_session_at_a_glance() {
    let server = TestServer::start(SMALL).await;
    let status = server.get("/api/v1/status").await;
    assert_eq!(status.status, 200, "{}", String::from_utf8_lossy(&status.body));
    let status = status.json();
    assert_eq!(status["mode"], "watching");
    assert_eq!(status["session"]["name"], "2026-03-12 plate 4");
    server.stop().await;
}
