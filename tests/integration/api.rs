//! The API over a socket: what it gives, what it refuses, what keeps it safe.

mod stream;

use crate::seed::{cells_at, frame_id};
use crate::server::{SMALL, STALL_LIMIT, TestServer};
use cytowatch::serve::{ServeError, ServeSettings};
use cytowatch::status::Stage;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

const TOKEN: &str = "a-token-that-nobody-guesses";

fn on_port_zero() -> ServeSettings {
    ServeSettings { listen: "127.0.0.1:0".parse().unwrap(), ..ServeSettings::default() }
}

/// A cell whose score is shown.
fn scored_cell() -> i64 {
    let cell = cells_at(1, 10, SMALL).into_iter().find(|cell| cell.withheld.is_none()).unwrap();
    frame_id(1, 10) * 1000 + cell.number
}

/// Every GET route of the OpenAPI document with ids that are seeded.
fn documented_routes() -> Vec<String> {
    let document: serde_json::Value = serde_json::from_str(cytowatch::serve::api::OPENAPI).unwrap();
    let frame = frame_id(1, 10);
    document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .map(|path| {
            let path = path
                .replace("{session_id}", "1")
                .replace("{fov_id}", "1")
                .replace("{sample_id}", "1")
                .replace("{frame_id}", &frame.to_string())
                .replace("{cell_id}", &scored_cell().to_string())
                .replace("{track_id}", "1003");
            format!("/api/v1{path}")
        })
        .collect()
}

#[tokio::test]
async fn every_documented_route_answers_and_every_route_is_documented() {
    let server = TestServer::start(SMALL).await;
    let routes = documented_routes();
    assert!(routes.len() > 20, "{routes:?}");
    for route in &routes {
        if route.ends_with("/events") {
            continue;
        }
        let answer = server.get(route).await;
        assert_eq!(answer.status, 200, "{route}: {}", String::from_utf8_lossy(&answer.body));
        let kind = answer.header("content-type").unwrap();
        if std::path::Path::new(route).extension().is_some_and(|extension| extension == "png") {
            assert_eq!(kind, "image/png", "{route}");
            assert!(answer.body.starts_with(b"\x89PNG"), "{route}");
        } else {
            assert_eq!(kind, "application/json", "{route}");
            answer.json();
        }
    }
    // The routes of the source, read as text: none may be missing in the document.
    let document: serde_json::Value = serde_json::from_str(cytowatch::serve::api::OPENAPI).unwrap();
    for source in [
        include_str!("../../src/serve/api.rs"),
        include_str!("../../src/serve/api/overview.rs"),
        include_str!("../../src/serve/api/frames.rs"),
        include_str!("../../src/serve/api/samples.rs"),
        include_str!("../../src/serve/api/events.rs"),
    ] {
        for route in source.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document["paths"].get(route).is_some(), "{route} is not in the OpenAPI document");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn numbers_are_those_that_were_seeded() {
    let server = TestServer::start(SMALL).await;
    let status = server.get("/api/v1/status").await.json();
    assert_eq!((status["mode"].as_str(), status["session"]["fov_count"].as_i64()), (Some("watching"), Some(9)));
    assert_eq!(status["health"]["ok"], true, "{}", status["health"]);
    assert_eq!(status["open_alerts"][0]["rule"], "disk_low");
    let fov = server.get("/api/v1/fovs/4").await.json();
    assert_eq!((fov["missing_count"].as_i64(), fov["frames"]["done"].as_i64()), (Some(2), Some(60)));
    let gaps = server.get("/api/v1/fovs/4/gaps").await.json();
    assert_eq!(gaps["items"][0], serde_json::json!({ "first_time_index": 31, "last_time_index": 32 }));
    let waiting = server.get("/api/v1/waiting").await.json();
    assert_eq!(waiting[0]["reason"], "file still growing (41 of 64 MB)");
    let failures = server.get("/api/v1/failures").await.json();
    assert_eq!(failures[0]["newest_path"], "plate4/s05/t0044.tif");
    let sample = server.get("/api/v1/samples/1").await.json();
    assert_eq!((sample["name"].as_str(), sample["call"]["verdict"].as_str()), (Some("m405"), Some("high")));
    let readers = cytowatch::store::open_read_only(&server.folder.path().join("cytowatch.db")).await.unwrap();
    let view: f64 =
        sqlx::query_scalar("SELECT score FROM samples_view WHERE sample_id = 1").fetch_one(&readers).await.unwrap();
    assert_eq!(sample["score"].as_f64(), Some(view), "the API and the view say the same");
    let certificate = server.get("/api/v1/sessions/1/certificate").await.json();
    let of = |name: &str| certificate["total"][name].as_i64().unwrap();
    assert_eq!(of("received"), of("analysed") + of("failed") + of("skipped") + of("open"));
    assert_eq!(of("expected") + of("surplus"), of("received") + of("missing"));
    assert_eq!(certificate["unexplained"].as_i64().unwrap(), of("missing") + of("open"));
    assert_eq!(certificate["complete"], certificate["unexplained"] == 0);
    let drift = server.get("/api/v1/drift").await.json();
    for day in drift.as_array().unwrap() {
        assert!(["steady", "drifted", "cannot_say"].contains(&day["verdict"].as_str().unwrap()), "{day}");
        assert!(day["text"].as_str().unwrap().starts_with("Ti2-incubator, "), "{day}");
    }
    assert!(!drift.as_array().unwrap().is_empty());
    server.stop().await;
}

#[tokio::test]
async fn a_withheld_score_never_leaves_as_a_number() {
    let server = TestServer::start(SMALL).await;
    let mut withheld = 0;
    for fov in 1..=9 {
        let frame = server.get(&format!("/api/v1/frames/{}", frame_id(fov, 5))).await.json();
        for cell in frame["cells"].as_array().unwrap() {
            assert!(cell["outline_px"].as_array().unwrap().len() == 64);
            assert_eq!(cell["withheld"].is_null(), cell["score"].is_number(), "{cell}");
            withheld += usize::from(!cell["withheld"].is_null());
        }
    }
    assert!(withheld > 0, "the seed holds withheld cells");
    server.stop().await;
}

#[tokio::test]
async fn lists_go_on_with_their_cursor_and_miss_nothing() {
    let server = TestServer::start(SMALL).await;
    for list in ["fovs/1/frames", "frames", "fovs", "fovs/1/tracks", "tracks/1003", "alerts"] {
        let pages = |page: serde_json::Value| if list.starts_with("tracks/") { page["cells"].clone() } else { page };
        let whole = pages(server.get(&format!("/api/v1/{list}?limit=500")).await.json());
        let whole = whole["items"].as_array().unwrap().clone();
        let (mut found, mut cursor) = (Vec::new(), None::<String>);
        let limit = whole.len().div_ceil(3).max(2);
        loop {
            let more = cursor.as_ref().map_or(String::new(), |cursor| format!("&cursor={cursor}"));
            let page = pages(server.get(&format!("/api/v1/{list}?limit={limit}{more}")).await.json());
            found.extend(page["items"].as_array().unwrap().clone());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
        assert!(found.len() >= whole.len(), "{list}");
        assert_eq!(found[..whole.len()], whole, "{list}");
        let distinct: std::collections::BTreeSet<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(distinct.len(), found.len(), "{list} gave a row twice");
    }
    server.stop().await;
}

#[tokio::test]
async fn errors_are_problems_with_stable_codes() {
    let server = TestServer::start(SMALL).await;
    for (target, status, code) in [
        ("/api/v1/nothing", 404, "not_found"),
        ("/nothing", 404, "not_found"),
        ("/assets/..%2f..%2fCargo.toml", 404, "not_found"),
        ("/assets/../../etc/passwd", 404, "not_found"),
        ("/api/v1/frames/999999999", 404, "not_found"),
        ("/api/v1/frames/0", 400, "invalid_parameter"),
        ("/api/v1/frames/..%2f..%2fetc%2fpasswd", 400, "invalid_parameter"),
        ("/api/v1/frames/1/image.png?width_px=99999", 400, "invalid_parameter"),
        ("/api/v1/fovs?limit=0", 400, "invalid_parameter"),
        ("/api/v1/fovs?limit=501", 400, "invalid_parameter"),
        ("/api/v1/fovs?cursor=x", 400, "invalid_parameter"),
        ("/api/v1/fovs?unknown=1", 400, "invalid_parameter"),
        ("/api/v1/frames?state=gone", 400, "invalid_parameter"),
        ("/metrics", 404, "not_found"),
    ] {
        let answer = server.get(target).await;
        assert_eq!(answer.status, status, "{target}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{target}");
        assert_eq!(answer.json()["code"], code, "{target}");
    }
    let address = server.address;
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let answer = server
            .send(&format!("{method} /api/v1/status HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"))
            .await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (405, Some("method_not_allowed")), "{method}");
        assert!(answer.header("allow").unwrap().contains("GET"), "{}", answer.head);
    }
    server.stop().await;
}

#[tokio::test]
async fn every_answer_carries_the_security_headers_and_pages_hold_nothing_inline() {
    let server = TestServer::start(SMALL).await;
    for target in ["/", "/login", "/assets/app.js", "/api/v1/status", "/nothing"] {
        let answer = server.get(target).await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{target}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{target}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{target}");
    }
    for page in ["/", "/login"] {
        let text = String::from_utf8(server.get(page).await.body).unwrap();
        assert!(!text.contains("<style") && !text.contains(" style=") && !text.contains(" onclick="), "{page}");
        for script in text.split("<script").skip(1) {
            assert!(script.split("</script>").next().unwrap().ends_with('>'), "an inline script in {page}");
        }
        assert!(!text.contains("http://") && !text.contains("https://"), "{page} names a foreign host");
    }
    server.stop().await;
}

#[tokio::test]
async fn foreign_host_names_are_refused() {
    let server = TestServer::start(SMALL).await;
    for host in ["evil.example", "evil.example:8750", ""] {
        let answer =
            server.send(&format!("GET /api/v1/status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (421, Some("host_not_allowed")), "{host}");
    }
    server.stop().await;
}

#[tokio::test]
async fn long_targets_heads_and_bodies_are_refused() {
    let server = TestServer::start(SMALL).await;
    let address = server.address;
    let long = server.get(&format!("/api/v1/frames?code={}&state=failed", "x".repeat(4000))).await;
    assert_eq!((long.status, long.json()["code"].as_str()), (400, Some("target_too_long")));
    let head = format!("GET / HTTP/1.1\r\nHost: {address}\r\nX: {}\r\nConnection: close\r\n\r\n", "x".repeat(40_000));
    assert_eq!(server.send(&head).await.status, 431);
    let body = "x".repeat(10_000);
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(server.send(&request).await.status, 413);
    server.stop().await;
}

#[tokio::test]
async fn only_so_many_requests_run_at_a_time() {
    let server = TestServer::start_with(SMALL, |_| ServeSettings { max_requests: 1, ..on_port_zero() }).await;
    let targets: Vec<String> = (0..12).map(|time| format!("/api/v1/frames/{}/image.png", frame_id(1, time))).collect();
    let mut answers = tokio::task::JoinSet::new();
    for target in targets {
        let address = server.address;
        answers.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).await.unwrap();
            line
        });
    }
    let lines = answers.join_all().await;
    let busy = lines.iter().filter(|line| line.contains(" 503 ")).count();
    let served = lines.iter().filter(|line| line.contains(" 200 ")).count();
    assert_eq!(busy + served, lines.len(), "{lines:?}");
    assert!(busy > 0 && served > 0, "{lines:?}");
    assert_eq!(server.get("/api/v1/status").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn other_addresses_need_a_token_and_take_it_by_header_or_login() {
    let open: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let refused = TestServer::refused(ServeSettings { listen: open, ..ServeSettings::default() }).await;
    assert!(matches!(refused, ServeError::TokenNeeded { .. }), "{refused:?}");

    let server = TestServer::start_with(SMALL, |folder| {
        let token_file = folder.path().join("token");
        std::fs::write(&token_file, format!("{TOKEN}\n")).unwrap();
        ServeSettings { token_file: Some(token_file), ..on_port_zero() }
    })
    .await;
    let address = server.address;
    let with = async |header: &str| {
        server
            .send(&format!("GET /api/v1/status HTTP/1.1\r\nHost: {address}\r\n{header}Connection: close\r\n\r\n"))
            .await
            .status
    };
    assert_eq!(with("").await, 401);
    assert_eq!(with("Authorization: Bearer wrong-token-wrong\r\n").await, 401);
    assert_eq!(with(&format!("Authorization: Bearer {TOKEN}\r\n")).await, 200);
    assert_eq!(server.get("/").await.header("location"), Some("/login"));
    assert_eq!(server.get("/login").await.status, 200);
    assert_eq!(server.get("/healthz").await.status, 200);
    assert_eq!(server.get("/metrics").await.status, 401);
    let login = async |token: &str| {
        let body = serde_json::json!({ "token": token }).to_string();
        let length = body.len();
        server
            .send(&format!(
                "POST /login HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            ))
            .await
    };
    let wrong = login("wrong-token-wrong").await;
    assert_eq!((wrong.status, wrong.json()["code"].as_str()), (401, Some("token_wrong")));
    let right = login(TOKEN).await;
    let cookie = right.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains(TOKEN), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    assert_eq!(with(&format!("Cookie: {pair}\r\n")).await, 200);
    server.stop().await;
}

#[tokio::test]
async fn health_turns_red_when_the_folder_goes_and_ready_stays() {
    let server = TestServer::start(SMALL).await;
    assert_eq!(server.get("/healthz").await.status, 200);
    std::fs::remove_dir(server.folder.path().join("watched")).unwrap();
    let red = server.get("/healthz").await;
    assert_eq!(red.status, 503);
    let checks = red.json()["checks"].clone();
    let folder = checks.as_array().unwrap().iter().find(|check| check["name"] == "folder").unwrap().clone();
    assert!(folder["detail"].as_str().unwrap().contains("mount or create it"), "{folder}");
    assert_eq!(server.get("/readyz").await.status, 200);
    std::fs::create_dir(server.folder.path().join("watched")).unwrap();
    assert_eq!(server.get("/healthz").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn an_explanation_is_given_only_where_the_score_is_shown() {
    let server = TestServer::start(SMALL).await;
    let found = server.get(&format!("/api/v1/cells/{}/explanation", scored_cell())).await.json();
    assert_eq!((found["features"][0]["feature"].as_i64(), found["shifts"].as_array().unwrap().len()), (Some(31), 7));
    let hidden = (1..=9).flat_map(|fov| cells_at(fov, 5, SMALL).into_iter().map(move |cell| (fov, cell)));
    let (fov, cell) = hidden.into_iter().find(|(_, cell)| cell.withheld.is_some()).unwrap();
    for end in ["explanation", "explanation.png"] {
        let refused = server.get(&format!("/api/v1/cells/{}/{end}", frame_id(fov, 5) * 1000 + cell.number)).await;
        assert_eq!((refused.status, refused.json()["code"].as_str()), (409, Some("score_withheld")));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_long_track_has_a_course_and_a_short_one_says_what_it_lacks() {
    let server = TestServer::start(SMALL).await;
    let steady =
        (1..=9).find(|cell| (0..62).all(|time| cells_at(1, time, SMALL)[cell - 1].withheld.is_none())).unwrap();
    let began = std::time::Instant::now();
    let course = loop {
        let course = server.get(&format!("/api/v1/tracks/{}/course", 1000 + steady)).await.json();
        if course["pending"] == false {
            break course;
        }
        assert!(began.elapsed() < crate::support::PATIENCE, "still pending");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    };
    assert_eq!(course["reason"], serde_json::Value::Null, "{course}");
    assert_eq!((course["frames"].as_array().unwrap().len(), course["minutes_assumed"].as_bool()), (62, Some(false)));
    let lacking = server.get("/api/v1/tracks/2001/course").await.json();
    if let Some(reason) = lacking["reason"].as_str() {
        assert!(reason.contains("60 are needed"), "{reason}");
    }
    assert_eq!(server.get("/api/v1/tracks/424242/course").await.status, 404);
    server.stop().await;
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_given_up() {
    let timeout = std::time::Duration::from_millis(1);
    let server = TestServer::start_with(SMALL, |_| ServeSettings { request_timeout: timeout, ..on_port_zero() }).await;
    let late = server.get(&format!("/api/v1/frames/{}/image.png", frame_id(1, 1))).await;
    assert_eq!(
        (late.status, late.json()["code"].as_str(), late.header("retry-after")),
        (503, Some("timed_out"), Some("2"))
    );
    server.stop().await;
}

#[tokio::test]
async fn only_so_many_connections_are_open_at_a_time() {
    let server = TestServer::start_with(SMALL, |_| ServeSettings { max_connections: 2, ..on_port_zero() }).await;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    let answered = async |stream: &mut TcpStream| {
        let mut byte = [0];
        let wait = std::time::Duration::from_millis(700);
        matches!(tokio::time::timeout(wait, stream.read(&mut byte)).await, Ok(Ok(1)))
    };
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        while !answered(&mut stream).await {}
        open.push(stream);
    }
    let mut third = TcpStream::connect(server.address).await.unwrap();
    third.write_all(request.as_bytes()).await.unwrap();
    assert!(!answered(&mut third).await, "a third connection was served beside two open ones");
    drop(open);
    while !answered(&mut third).await {}
    drop(third);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_dawdles_over_its_head_is_let_go() {
    let server = TestServer::start(SMALL).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await.unwrap();
    let mut rest = Vec::new();
    let limit = std::time::Duration::from_mins(1);
    tokio::time::timeout(limit, stream.read_to_end(&mut rest)).await.expect("still open after a minute").unwrap();
    assert!(!String::from_utf8_lossy(&rest).contains(" 200 "), "{}", String::from_utf8_lossy(&rest));
    server.stop().await;
}

#[tokio::test]
async fn health_turns_red_when_a_stage_is_stuck_or_the_store_takes_no_write() {
    let server = TestServer::start(SMALL).await;
    let red = async |name: &str| {
        let answer = server.get("/healthz").await;
        let checks = answer.json()["checks"].clone();
        let check = checks.as_array().unwrap().iter().find(|check| check["name"] == name).unwrap().clone();
        (answer.status == 503 && check["ok"] == false).then(|| check["detail"].as_str().unwrap().to_owned())
    };
    server.status.begin(Stage::Infer);
    let began = std::time::Instant::now();
    let detail = loop {
        if let Some(detail) = red("stage.infer").await {
            break detail;
        }
        assert!(began.elapsed() < STALL_LIMIT * 5, "still green");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert!(detail.contains("no sign of life"), "{detail}");
    server.status.rest(Stage::Infer);
    assert_eq!(server.get("/healthz").await.status, 200);
    server.status.store_answered(Some("the database takes no write: see what else holds it".to_owned()));
    assert!(red("store").await.unwrap().contains("takes no write"));
    server.status.store_answered(None);
    assert_eq!(server.get("/healthz").await.status, 200);
    server.stop().await;
}

/// Needs the program's path in `CYTOWATCH_SCHEMATHESIS` (`scripts/api-tools.sh` installs it and says where).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_nothing() {
    let Some(program) = std::env::var_os("CYTOWATCH_SCHEMATHESIS") else {
        println!("skipped: CYTOWATCH_SCHEMATHESIS does not name the program (scripts/api-tools.sh)");
        return;
    };
    let server = TestServer::start(SMALL).await;
    let document = server.folder.path().join("openapi.json");
    std::fs::write(&document, cytowatch::serve::api::OPENAPI).unwrap();
    let url = format!("http://{}/api/v1", server.address);
    // The stream of events never ends, which is what it is for; its own tests drive it.
    let output = tokio::task::spawn_blocking(move || {
        std::process::Command::new(program)
            .current_dir(document.parent().unwrap())
            .arg("run")
            .arg(&document)
            .args(["--url", &url, "--exclude-path", "/events", "--max-examples", "20", "--seed", "56", "--no-color"])
            .output()
            .unwrap()
    })
    .await
    .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    server.stop().await;
}
