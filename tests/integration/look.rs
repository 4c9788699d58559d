use crate::server::{SMALL, TestServer};
use crate::seed::Scale;
#[tokio::test]
#[ignore]
async fn look() {
    let server = TestServer::start_with(Scale{times: 122, end_unix_ms: cytowatch::status::unix_ms()-20_000, ..SMALL}, |_| cytowatch::serve::ServeSettings { listen: "127.0.0.1:8755".parse().unwrap(), ..Default::default()}).await;
    loop {
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        for stage in cytowatch::status::Stage::ALL { server.status.beat(stage); }
    }
}
