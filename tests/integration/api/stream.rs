//! The stream of events: what it tells, where it goes on, when it ends.

use crate::server::{SMALL, TestServer};
use cytowatch::id::{FovId, FrameId};
use cytowatch::serve::live::Event;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Opens the stream and gives the next `events` ids and names.
async fn listen(server: &TestServer, last_id: &str, events: usize, act: impl FnOnce()) -> Vec<String> {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request =
        format!("GET /api/v1/events HTTP/1.1\r\nHost: {}\r\nLast-Event-ID: {last_id}\r\n\r\n", server.address);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut act = Some(act);
    let (mut id, mut found) = (String::new(), Vec::new());
    while found.len() < events {
        let line = tokio::time::timeout(std::time::Duration::from_secs(20), lines.next_line()).await.unwrap();
        let line = line.unwrap().expect("the stream ended");
        if line.starts_with("content-type: text/event-stream")
            && let Some(act) = act.take()
        {
            act();
        }
        if let Some(of) = line.strip_prefix("id: ") {
            of.clone_into(&mut id);
        }
        if let Some(name) = line.strip_prefix("event: ").filter(|name| *name != "status") {
            found.push(name.to_owned());
        }
    }
    found.push(id);
    found
}

#[tokio::test]
async fn the_stream_tells_and_resumes() {
    let server = TestServer::start(SMALL).await;
    let event = Event::FrameFailed { frame_id: FrameId(1), fov_id: Some(FovId(1)), code: "truncated".to_owned() };
    server.live.publish(&event);
    server.live.publish(&event);
    let missed = listen(&server, "1-1", 2, || server.live.publish(&event)).await;
    assert_eq!(missed, ["frame_failed", "frame_failed", "1-2"], "right after the last one that it had, then what came");
    let reset = listen(&server, "other-7", 2, || server.live.publish(&event)).await;
    assert_eq!(reset[0..2], ["reset", "frame_failed"]);
    server.stop().await;
}

#[tokio::test]
async fn a_stop_ends_open_streams() {
    let server = TestServer::start(SMALL).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = format!("GET /api/v1/events HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    assert!(lines.next_line().await.unwrap().unwrap().contains("200"));
    let began = std::time::Instant::now();
    server.stop().await;
    assert!(began.elapsed() < std::time::Duration::from_secs(4), "{:?}", began.elapsed());
}
