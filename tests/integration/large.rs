//! The page over a million cells: how soon it is there.
//!
//! Takes some minutes to make, so it runs when asked for:
//! `cargo test --test integration -- --ignored --nocapture large::`

use crate::browser::Browser;
use crate::seed::{Scale, frame_id};
use crate::server::TestServer;
use std::time::Instant;

/// 60 fields of 3 samples, 400 time points, 42 cells each: 1,008,000 cells.
const LARGE: Scale = Scale { fovs_per_sample: 20, times: 400, cells_per_fov: 42, end_unix_ms: 1_773_300_000_000 };

/// From the click to the first paint, and to what is meant by "there", ms.
const PAINT: &str = "(() => {
    const first = performance.getEntriesByName('first-contentful-paint')[0];
    return first ? Math.round(first.startTime) : null;
})()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "makes a database of a million cells: minutes"]
async fn the_first_paint_over_a_million_cells_takes_less_than_a_second() {
    let Some(mut browser) = Browser::start() else { return };
    let began = Instant::now();
    let server = TestServer::start(LARGE).await;
    println!("seeded {} cells in {:.0?}", 60 * 400 * 42, began.elapsed());
    let cell = frame_id(1, 200) * 1000 + 20;
    let views = [
        (
            "session",
            String::new(),
            "document.querySelectorAll('.viewer .outline').length > 30 && document.querySelectorAll('.sample').length === 3",
        ),
        (
            "field",
            "field/7".to_owned(),
            "document.querySelectorAll('.strip a').length === 24 && document.querySelectorAll('.viewer .outline').length > 30",
        ),
        ("samples", "samples".to_owned(), "document.querySelectorAll('.plot').length === 7"),
        ("cell", format!("cell/{cell}"), "document.querySelectorAll('.crops img').length === 16"),
        (
            "health",
            "health".to_owned(),
            "document.querySelectorAll('.stage').length === 5 && document.body.innerText.includes('Frames expected')",
        ),
    ];
    for endpoint in [
        "status",
        "fovs?session_id=1",
        "samples?session_id=1",
        "samples/1/trend",
        "samples/1/distribution",
        "fovs/7/frames?limit=24",
        "failures",
        "waiting",
        "sessions/1/certificate",
    ] {
        let asked = Instant::now();
        let answer = server.get(&format!("/api/v1/{endpoint}")).await;
        println!("GET {endpoint}: {} in {:.0?}, {} bytes", answer.status, asked.elapsed(), answer.body.len());
        assert_eq!(answer.status, 200, "{endpoint}");
    }
    tokio::task::block_in_place(|| {
        for (name, route, whole) in views {
            let mut paints = Vec::new();
            let mut wholes = Vec::new();
            for _ in 0..3 {
                browser.open(&format!("http://{}/#/{route}", server.address), 1280, "light");
                browser.wait_until(whole);
                wholes.push(browser.ask("Math.round(performance.now())").as_i64().unwrap());
                browser.wait_until(&format!("{PAINT} !== null"));
                paints.push(browser.ask(PAINT).as_i64().unwrap());
            }
            println!("{name}: first paint {paints:?} ms, whole (looked at every 50 ms) {wholes:?} ms");
            paints.sort_unstable();
            assert!(paints[1] < 1000, "{name}: the first paint takes {paints:?} ms");
        }
    });
    server.stop().await;
}
