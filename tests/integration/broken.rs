//! Files and configurations that are wrong.

use crate::support::*;
use std::fs;

#[test]
fn broken_files_fail_with_a_code_and_the_session_goes_on() {
    let site =
        Site::new("[instrument]\npixel_size_um = 0.325\n[watch]\ngive_up = \"1s\"\n[pipeline]\ngap_wait = \"200ms\"");
    let frames = film();
    let good = &frames[..6];
    let whole = &frames[0].1;
    let mut broken = vec![
        ("x_s90_t00000.tif".to_owned(), Vec::new()),
        ("x_s91_t00000.tif".to_owned(), whole[..whole.len() / 2].to_vec()),
        ("x_s92_t00000.tif".to_owned(), b"this is not a picture at all".to_vec()),
        ("x_s93_t00000.png".to_owned(), b"\x89PNG\r\n\x1a\n nothing".to_vec()),
        ("x_s94_t00000.tif".to_owned(), vec![0; 4096]),
    ];
    if let Some(corpus) = data("corrupt") {
        let files =
            files_below(&corpus).into_iter().filter(|(name, _)| !name.ends_with(".md") && !name.ends_with(".jsonl"));
        broken.extend(files.enumerate().map(|(number, (_, bytes))| (format!("c_s{}_t00000.tif", 100 + number), bytes)));
    }
    let mut daemon = site.start();
    daemon.ready();
    let at_rest = daemon.resident_bytes();
    for (number, frame) in good.iter().enumerate() {
        write_whole(&site.folder(), frame);
        for bad in broken.iter().skip(number).step_by(good.len()) {
            write_whole(&site.folder(), bad);
        }
    }
    let all = good.len() + broken.len();
    wait_for("every file to reach its end", || {
        let ended = "SELECT count(DISTINCT source_id) FROM frames WHERE state IN ('done', 'failed', 'skipped')";
        (site.count(ended) == all && site.frames("waiting") + site.frames("ready") + site.frames("processing") == 0)
            .then_some(())
    });
    for (name, _) in good {
        let state = site
            .query::<String>(&format!("SELECT state FROM frames JOIN sources USING (source_id) WHERE path = '{name}'"));
        assert_eq!(state, ["done"], "{name}");
    }
    for (name, _) in &broken[..5] {
        let state = site
            .query::<String>(&format!("SELECT state FROM frames JOIN sources USING (source_id) WHERE path = '{name}'"));
        assert_eq!(state, ["failed"], "{name}");
    }
    assert_eq!(site.count("SELECT count(*) FROM frames WHERE state = 'failed' AND (code = '' OR reason IS NULL)"), 0);
    let grown = daemon.resident_bytes().saturating_sub(at_rest) >> 20;
    eprintln!("memory grew by {grown} MiB over {all} files");
    assert!(grown < 500, "memory grew by {grown} MiB");
    assert!(daemon.stop().success());
}

#[test]
fn an_unreadable_file_fails_with_its_code_and_is_taken_when_it_can_be_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::new("[instrument]\npixel_size_um = 0.325\n[watch]\ngive_up = \"500ms\"");
    let frame = &film()[0];
    write_whole(&site.folder(), frame);
    let path = site.folder().join(&frame.0);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&path).is_ok() {
        eprintln!("skipped: this user may read everything");
        return;
    }
    let mut daemon = site.start();
    daemon.ready();
    wait_for("the failure", || (site.frames("failed") == 1).then_some(()));
    assert_eq!(site.query::<String>("SELECT code FROM frames"), ["permission_denied"]);
    assert!(daemon.stop().success());
}

/// What `run` says and its exit code, for a configuration `text`.
fn refused(text: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    let text = text.replace("FOLDER", folder.path().to_str().unwrap()).replace("BUNDLE", bundle().to_str().unwrap());
    fs::write(&file, text).unwrap();
    let output = cytowatch().arg("run").arg("--config").arg(&file).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_wrong_configuration_names_the_key_and_is_not_restarted() {
    let rest =
        "\n[store]\ndatabase = \"FOLDER/c.db\"\n[infer]\nbundle = \"BUNDLE\"\n[serve]\nlisten = \"127.0.0.1:0\"\n";
    for (text, word) in [
        ("[watch]\nfolderr = \"FOLDER\"", "folderr"),
        ("[watch]\nfolder = \"\"", "watch.folder"),
        ("[watch]\nfolder = \"FOLDER\"\nsettle = \"soon\"", "settle"),
        ("[watch]\nfolder = \"FOLDER\"\ntemplates = [\"{nonsense}.tif\"]", "nonsense"),
        ("[watch]\nfolder = \"FOLDER\"\n[instrument]\npixel_size_um = 0.0", "pixel_size_um"),
    ] {
        let (code, said) = refused(&format!("{text}{rest}"));
        assert_eq!(code, 78, "{said}");
        assert!(said.contains(word), "{said} does not name {word}");
    }
    let (code, said) = refused("[watch]\nfolder = \"FOLDER/absent\"\n[store]\ndatabase = \"FOLDER/c.db\"\n");
    assert_eq!(code, 1, "a folder may be mounted later: {said}");
    assert!(said.contains("watch.folder"), "{said}");
    let (code, said) = refused(&format!("[watch]\nfolder = \"FOLDER\"{}", rest.replace("BUNDLE", "FOLDER/no-bundle")));
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("no-bundle"), "{said}");
    let (code, said) = refused("this is not toml");
    assert_eq!(code, 78, "{said}");
}

#[test]
fn a_database_that_is_none_is_refused_and_left_alone() {
    let site = Site::new("");
    fs::write(&site.database, "a diary, not a database, and long enough to be looked at. ".repeat(40)).unwrap();
    let before = fs::read(&site.database).unwrap();
    let output = site.command("check").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("open database"), "{output:?}");
    assert_eq!(fs::read(&site.database).unwrap(), before);
}

#[test]
fn a_program_that_was_moved_away_from_its_models_says_so() {
    let site = Site::new("");
    let said = output_of(&mut site.command("check"));
    assert!(said.contains("cells     the network ") && !said.contains("warning   models/cells"), "{said}");
    if ["/usr/local/share", "/usr/share"]
        .iter()
        .any(|share| std::path::Path::new(share).join("cytowatch/models").is_dir())
    {
        println!("skipped the rest: models are installed on this machine");
        return;
    }
    // As `cargo install` leaves it.
    let alone = tempfile::tempdir().unwrap();
    let program = alone.path().join("cytowatch");
    fs::copy(env!("CARGO_BIN_EXE_cytowatch"), &program).unwrap();
    let mut check = std::process::Command::new(program);
    let said = output_of(check.arg("check").arg("--config").arg(site.config()).current_dir(alone.path()));
    assert!(said.contains("cells     the classical chain") && said.contains("/usr/local/share/cytowatch"), "{said}");
}

#[test]
fn usage_errors_and_help() {
    assert_eq!(cytowatch().arg("fly").output().unwrap().status.code(), Some(2));
    for name in ["run", "check", "backfill", "status", "export", "demo", "simulate", "runtime", "doctor", "certify"] {
        let help = output_of(cytowatch().args([name, "--help"]));
        assert!(help.len() > 200, "{name}: {help}");
    }
}
