//! The page in a real browser: every view, both widths, both colour schemes, by keyboard, live and after a break.
//!
//! With `CYTOWATCH_SCREENSHOTS=<folder>` the pictures are kept there.

use crate::browser::Browser;
use crate::seed::{Scale, frame_id};
use crate::server::{SMALL, TestServer};
use cytowatch::id::SampleId;
use cytowatch::serve::live::Event;

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
            "document.querySelectorAll('.crops img').length === 16 && document.querySelectorAll('.facts dd').length === 10",
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
    let kept = std::env::var_os("CYTOWATCH_SCREENSHOTS").map(std::path::PathBuf::from);
    tokio::task::block_in_place(|| {
        for (width_px, scheme) in [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")] {
            for (name, route, whole) in views() {
                browser.open(&format!("http://{}/#/{route}", server.address), width_px, scheme);
                browser.wait_until(whole);
                browser.wait_until("document.getElementById('link').textContent === 'live'");
                let too_wide = browser.ask("document.documentElement.scrollWidth - innerWidth");
                assert_eq!(too_wide, 0, "{name} is {too_wide} px too wide at {width_px} px");
                let unnamed = browser.ask(
                    "[...document.querySelectorAll('a, button, [role=img], input')]
                        .filter((it) => !(it.getAttribute('aria-label') || it.textContent.trim())).length",
                );
                assert_eq!(unnamed, 0, "{name}: links, buttons or pictures without a name");
                let faint = browser.ask(CONTRAST);
                assert_eq!(faint, serde_json::json!([]), "{name}, {scheme}: text with too little contrast");
                if let Some(folder) = &kept {
                    browser.wait_until(
                        "[...document.images].every((image) => image.loading === 'lazy' || image.complete)",
                    );
                    std::fs::write(folder.join(format!("{name}-{width_px}-{scheme}.png")), browser.picture()).unwrap();
                }
            }
        }
    });
    assert!(browser.complaints.is_empty(), "{:?}", browser.complaints);
    server.stop().await;
}

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
    server.stop().await;
    tokio::task::block_in_place(|| {
        browser.wait_until("document.getElementById('link').textContent === 'reconnecting'");
    });
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
