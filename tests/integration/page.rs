//! The page in a real browser: every view, both widths, both colour schemes, by keyboard, live and after a break.
//!
//! With `CYTOWATCH_SCREENSHOTS=<folder>` the pictures are kept there.

use crate::browser::Browser;
use crate::seed::{Scale, frame_id};
use crate::server::{SMALL, TestServer};
use crate::support;
use cytowatch::id::SampleId;
use cytowatch::serve::ServeSettings;
use cytowatch::serve::live::Event;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

/// Where pictures are to be kept, if they are.
fn pictures_wanted() -> Option<std::path::PathBuf> {
    std::env::var_os("CYTOWATCH_SCREENSHOTS").filter(|folder| !folder.is_empty()).map(std::path::PathBuf::from)
}

/// Views, and what must be seen in each.
fn views() -> [(&'static str, String, &'static str); 5] {
    let cell = frame_id(1, 40) * 1000 + 5;
    [
        (
            "session",
            String::new(),
            "document.querySelectorAll('.viewer .outline').length === 9 && document.querySelectorAll('.sample .plot').length === 6",
        ),
        (
            "field",
            format!("field/4/{}", frame_id(4, 20)),
            "document.querySelectorAll('.strip a').length > 10 && document.body.innerText.includes('Never came: t31 to t32')",
        ),
        (
            "samples",
            "samples".to_owned(),
            "document.querySelectorAll('.plot').length === 7 && document.body.innerText.toLowerCase().includes('about 34 more cells')",
        ),
        (
            "cell",
            format!("cell/{cell}"),
            "document.querySelectorAll('.crops img').length === 16 && document.querySelectorAll('.facts dd').length === 10
                && document.querySelectorAll('.explained figcaption > span').length === 14 && document.querySelector('.path-plot') !== null
                && /measured: 6\\.0.µm, 8\\.00.µm²; 8\\.0.µm/.test(document.body.innerText)
                && /\\+0\\.1 sd, high: 12\\.4.µm, 0\\.50.µm²/.test(document.body.innerText)
                && /lasting change|Changed its state|cannot be told/.test(document.body.innerText)",
        ),
        (
            "health",
            "health".to_owned(),
            "document.querySelectorAll('.stage').length === 5 && document.body.innerText.includes('source truncated')",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_view_is_whole_at_both_widths_and_schemes() {
    let Some(mut browser) = Browser::start() else { return };
    let server = TestServer::start(SMALL).await;
    let kept = pictures_wanted();
    tokio::task::block_in_place(|| {
        for (width_px, scheme) in [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")] {
            for (name, route, whole) in views() {
                browser.open(&format!("http://{}/#/{route}", server.address), width_px, scheme);
                browser.wait_until(whole);
                browser.wait_until("document.getElementById('link').textContent === 'live'");
                // Not innerWidth: a phone widens that with the page.
                let wide = browser.ask("document.documentElement.scrollWidth");
                assert_eq!(wide, width_px, "{name} is {wide} px wide at {width_px} px");
                let unnamed = browser.ask(
                    "[...document.querySelectorAll('a, button, [role=img], input')]
                        .filter((it) => !(it.getAttribute('aria-label') || it.textContent.trim())).length",
                );
                assert_eq!(unnamed, 0, "{name}: links, buttons or pictures without a name");
                let faint = browser.ask(CONTRAST);
                assert_eq!(faint, serde_json::json!([]), "{name}, {scheme}: text with too little contrast");
                browser.wait_until(PICTURES);
                if let Some(folder) = &kept {
                    std::fs::write(folder.join(format!("{name}-{width_px}-{scheme}.png")), browser.picture()).unwrap();
                }
            }
        }
    });
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
    server.stop().await;
}

/// Whether every picture is there, of those that wait until they come into sight those that are in sight.
const PICTURES: &str = "[...document.images].filter((image) => {
    const { top, left, right } = image.getBoundingClientRect();
    const strip = image.closest('.strip')?.getBoundingClientRect() ?? { left: 0, right: innerWidth };
    return image.loading !== 'lazy' || (top < innerHeight && left >= strip.left && right <= strip.right);
}).every((image) => image.complete && image.naturalWidth > 0)";

/// Text whose contrast to the page is below 4.5 : 1 (the colours of text are few, so classes stand for them).
const CONTRAST: &str = "(() => {
    const lightness = (rgb) => rgb.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const numbers = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
    const opaque = (node) => { for (let at = node; at; at = at.parentElement) {
        const rgb = numbers(getComputedStyle(at).backgroundColor);
        if (rgb.length === 3) return rgb; } return [255, 255, 255]; };
    const found = new Set();
    for (const node of document.querySelectorAll('h1, h2, h3, p, dt, dd, td, th, a, .tag, .verdict, .hint')) {
        if (!node.textContent.trim() || node.closest('.viewer')) continue;
        const [a, b] = [lightness(numbers(getComputedStyle(node).color)), lightness(opaque(node))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) found.add(`${node.tagName}.${node.className} ${ratio.toFixed(2)}`);
    }
    return [...found];
})()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_is_live_and_comes_back_by_itself() {
    let Some(mut browser) = Browser::start() else { return };
    let server = TestServer::start(SMALL).await;
    tokio::task::block_in_place(|| {
        browser.open(&format!("http://{}/", server.address), 1280, "light");
        browser.wait_until(views()[0].2);
        browser.wait_until("document.getElementById('link').textContent === 'live'");
        browser.ask(
            "window.asked = 0; const real = fetch; window.fetch = (...all) => { asked += 1; return real(...all); }; 0",
        );
        server.live.publish(&Event::SampleCalled { sample_id: SampleId(1), verdict: "high".to_owned() });
        browser.wait_until("asked > 2");
        // By keyboard: into the picture, along its cells, and into one.
        browser.ask("document.querySelector('.viewer svg a[tabindex=\"0\"]').focus(); 0");
        let first = browser.ask("document.activeElement.getAttribute('aria-label')");
        for kind in ["keyDown", "keyUp"] {
            browser.command(
                "Input.dispatchKeyEvent",
                serde_json::json!({ "type": kind, "key": "ArrowRight", "code": "ArrowRight", "windowsVirtualKeyCode": 39 }),
            );
        }
        let second = browser.ask("document.activeElement.getAttribute('aria-label')");
        assert!(first.as_str().unwrap().starts_with("Cell ") && first != second, "{first} {second}");
        browser.ask("location.hash = document.activeElement.getAttribute('href'); 0");
        browser.wait_until("document.querySelector('.cropbox') !== null");
    });
    let address = server.address;
    server.stop().await;
    tokio::task::block_in_place(|| {
        browser.wait_until("document.getElementById('link').textContent === 'reconnecting'");
    });
    let again = TestServer::start_with(SMALL, |_| ServeSettings { listen: address, ..ServeSettings::default() }).await;
    tokio::task::block_in_place(|| {
        browser.wait_until("document.getElementById('link').textContent === 'live'");
        browser.wait_until("document.querySelector('.cropbox') !== null");
    });
    again.stop().await;
}

/// A browser opens six connections to a server for all its tabs together: streams of pages that nobody sees would take them all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_nobody_sees_holds_no_stream() {
    let Some(mut browser) = Browser::start() else { return };
    let server = TestServer::start(Scale { times: 2, ..SMALL }).await;
    let live = std::sync::Arc::clone(&server.live);
    tokio::task::block_in_place(|| {
        browser.open(&format!("http://{}/", server.address), 1280, "light");
        let ways = [
            (
                "Object.defineProperty(document, 'hidden', { value: true, configurable: true });
                 document.dispatchEvent(new Event('visibilitychange'))",
                "delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))",
            ),
            ("dispatchEvent(new Event('pagehide'))", "dispatchEvent(new Event('pageshow'))"),
        ];
        for (go, come) in ways {
            browser.wait_until("document.getElementById('link').textContent === 'live'");
            support::wait_for("a stream", || live.has_listeners().then_some(()));
            browser.ask(go);
            support::wait_for("no stream", || (!live.has_listeners()).then_some(()));
            browser.ask(come);
        }
        browser.wait_until("document.getElementById('link').textContent === 'live'");
    });
    server.stop().await;
}

/// Colours of the score seen with each kind of colour vision (Machado, Oliveira and Fernandes 2009, severity 1): quarters of the scale
/// must stay far apart in CIE L*a*b*. Gives the smallest distances.
const COLOURS_APART: &str = "(async () => {
    const { colour } = await import('/assets/scale.js');
    const kinds = {
        usual: [1, 0, 0, 0, 1, 0, 0, 0, 1],
        protan: [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
        deutan: [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881],
        tritan: [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.303900],
    };
    const linear = (v) => { const x = v / 255; return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; };
    const times = (m, v) => [0, 1, 2].map((row) => m[3 * row] * v[0] + m[3 * row + 1] * v[1] + m[3 * row + 2] * v[2]);
    const lab = (rgb) => {
        const xyz = times([0.4124, 0.3576, 0.1805, 0.2126, 0.7152, 0.0722, 0.0193, 0.1192, 0.9505], rgb.map((v) => Math.min(1, Math.max(0, v))));
        const f = xyz.map((v, i) => v / [0.9505, 1, 1.089][i]).map((v) => v > 0.008856 ? Math.cbrt(v) : 7.787 * v + 16 / 116);
        return [116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])];
    };
    const seen = (score, kind) => lab(times(kinds[kind], colour(score).match(/[0-9]+/g).map(Number).map(linear)));
    const apart = (a, b, kind) => { const [p, q] = [seen(a, kind), seen(b, kind)]; return Math.hypot(...p.map((v, i) => v - q[i])); };
    const found = {};
    for (const kind of Object.keys(kinds)) {
        const pairs = [];
        for (let a = 0; a <= 4; a += 1) for (let b = a + 1; b <= 4; b += 1) pairs.push(apart(a / 4, b / 4, kind));
        found[kind] = Math.round(Math.min(...pairs));
    }
    return found;
})()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scores_are_told_apart_with_every_kind_of_colour_vision() {
    let Some(mut browser) = Browser::start() else { return };
    let server = TestServer::start(Scale { times: 2, ..SMALL }).await;
    tokio::task::block_in_place(|| {
        browser.open(&format!("http://{}/", server.address), 1280, "light");
        browser.wait_until("document.querySelector('.legend') !== null");
        let apart = browser.ask(COLOURS_APART);
        println!("smallest distances between quarters of the scale: {apart}");
        for kind in ["usual", "protan", "deutan", "tritan"] {
            assert!(apart[kind].as_i64().unwrap() >= 15, "{apart}");
        }
    });
    server.stop().await;
}

/// Pictures of the README: the demo as anybody starts it, photographed once there is something to see.
/// `CYTOWATCH_SCREENSHOTS=docs/pictures cargo test --test integration -- page::every_picture`
#[test]
fn every_picture_of_the_readme_shows_the_running_demo() {
    let Some(folder) = pictures_wanted() else {
        println!("skipped: CYTOWATCH_SCREENSHOTS does not name a folder");
        return;
    };
    let Some(mut browser) = Browser::start() else { return };
    let kept = tempfile::tempdir().unwrap();
    let mut demo = support::cytowatch()
        .args(["demo", "--offline", "--interval-s", "3", "--fields", "2", "--cells", "14", "--seconds", "900", "--dir"])
        .arg(kept.path().join("demo"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let page = lines.find_map(|line| line.unwrap().strip_prefix("page ").map(|rest| rest.trim().to_owned())).unwrap();
    // Its progress must not fill the pipe.
    let told = std::thread::spawn(move || lines.count());
    let address = page.trim_start_matches("http://").trim_end_matches('/').to_owned();
    support::wait_for("a track of thirty frames", || {
        let tracks = support::get_json(&address, "/api/v1/fovs/1/tracks?limit=500");
        let long = |track: &serde_json::Value| track["scored_count"].as_i64() > Some(30);
        tracks["items"].as_array()?.iter().any(long).then_some(())
    });
    let fov = support::get_json(&address, "/api/v1/fovs/1");
    let frame = support::get_json(&address, &format!("/api/v1/frames/{}", fov["newest_frame_id"]));
    let scored = |cell: &&serde_json::Value| cell["score"].is_number();
    let cell = frame["cells"].as_array().unwrap().iter().find(scored).unwrap()["cell_id"].clone();
    for (name, route, whole, height) in [
        (
            "live",
            String::new(),
            "document.querySelectorAll('.viewer .outline').length > 5 && document.querySelectorAll('.sample .plot').length === 4",
            1010,
        ),
        (
            "cell",
            format!("cell/{cell}"),
            "document.querySelector('.explained img')?.complete && document.querySelectorAll('.crops img').length === 16",
            1010,
        ),
    ] {
        browser.open(&format!("{page}#/{route}"), 1280, "light");
        browser.wait_until(whole);
        browser.wait_until("document.querySelector('.viewer image')?.getAttribute('href') !== null && document.getElementById('link').textContent === 'live'");
        // The picture behind the outlines is painted after it was fetched.
        browser.ask("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 500)))");
        std::fs::write(folder.join(format!("{name}.png")), browser.picture_of(1280, height, 0.46)).unwrap();
    }
    demo.kill().unwrap();
    demo.wait().unwrap();
    told.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_session_and_a_lost_cell_are_told_in_words() {
    let Some(mut browser) = Browser::start() else { return };
    let nothing = Scale { fovs_per_sample: 0, times: 0, cells_per_fov: 0, ..SMALL };
    let server = TestServer::start(nothing).await;
    tokio::task::block_in_place(|| {
        let base = format!("http://{}/#/", server.address);
        browser.open(&base, 1280, "dark");
        browser.wait_until("document.body.innerText.includes('No frame yet')");
        browser.wait_until("document.body.innerText.includes('No field of view yet')");
        browser.open(&format!("{base}cell/77"), 390, "dark");
        browser.wait_until("document.body.innerText.includes('Not here')");
        browser.open(&format!("{base}health"), 390, "light");
        browser.wait_until("document.body.innerText.includes('No frame failed')");
    });
    server.stop().await;
}
