use super::*;
use crate::audit::checkpoint::Checkpoint;
use crate::base::secret::Secret;
use crate::crypto::sign::Signer;
use crate::server::https::Credentials;
use crate::server::https::url::Url;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;

const NOON: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn signed(size: u64, root: u8) -> SignedCheckpoint {
    let checkpoint = Checkpoint { origin: "log".into(), size, root: [root; 32] };
    let note = checkpoint.sign(&Signer::from_seed(&Secret::copied(&[1; 32]))).unwrap();
    SignedCheckpoint { checkpoint, note }
}

/// A log whose root is its size.
fn honest(size: u64) -> impl Fn(u64) -> Option<Digest> {
    move |at| (at <= size).then_some([at as u8; 32])
}

#[test]
fn a_folder_has_the_newest_and_all_before() {
    let home = tempfile::tempdir().unwrap();
    let mut outlet = FolderOutlet::new(home.path().join("out"));
    for size in [3, 3, 7] {
        outlet.publish(&signed(size, size as u8), NOON, &honest(size)).unwrap();
    }
    let read = |name: &str| fs::read_to_string(home.path().join("out").join(name)).unwrap();
    assert_eq!(read("checkpoint"), signed(7, 7).note);
    assert_eq!(read("history/2023-11-14/3"), signed(3, 3).note);
    assert_eq!(read("history/2023-11-14/7"), signed(7, 7).note);
    assert_eq!(fs::read_dir(home.path().join("out")).unwrap().count(), 2, "nothing unfinished");
}

#[test]
fn a_log_that_contradicts_what_was_published_writes_nothing_over() {
    let home = tempfile::tempdir().unwrap();
    let mut outlet = FolderOutlet::new(home.path().to_owned());
    outlet.publish(&signed(7, 7), NOON, &honest(7)).unwrap();
    let forged = |at| Some([at as u8 ^ 1; 32]);
    assert_eq!(outlet.publish(&signed(9, 8), NOON, &forged), Err(OutletError::Contradiction), "changed");
    assert_eq!(outlet.publish(&signed(5, 5), NOON, &honest(5)), Err(OutletError::Contradiction), "cut");
    assert_eq!(fs::read_to_string(home.path().join("checkpoint")).unwrap(), signed(7, 7).note);
    fs::write(home.path().join("checkpoint"), "mine").unwrap();
    assert_eq!(outlet.publish(&signed(9, 9), NOON, &honest(9)), Err(OutletError::Foreign));
    let checkpoint = Checkpoint { origin: "other".into(), ..signed(1, 1).checkpoint };
    let note = checkpoint.sign(&Signer::from_seed(&Secret::copied(&[1; 32]))).unwrap();
    fs::write(home.path().join("checkpoint"), note).unwrap();
    assert_eq!(outlet.publish(&signed(9, 9), NOON, &honest(9)), Err(OutletError::Foreign));
}

#[test]
fn what_is_kept_of_a_day_is_not_written_over_either() {
    let home = tempfile::tempdir().unwrap();
    let mut outlet = FolderOutlet::new(home.path().to_owned());
    outlet.publish(&signed(7, 7), NOON, &honest(7)).unwrap();
    let (newest, kept) = (home.path().join("checkpoint"), home.path().join("history/2023-11-14/7"));
    fs::remove_file(&newest).unwrap();
    let other = |at| Some([at as u8 ^ 1; 32]);
    assert_eq!(outlet.publish(&signed(7, 6), NOON, &other), Err(OutletError::Contradiction));
    assert_eq!(fs::read_to_string(kept).unwrap(), signed(7, 7).note);
    assert!(!newest.exists());
    outlet.publish(&signed(7, 7), NOON, &honest(7)).unwrap();
}

#[test]
fn what_a_server_keeps_of_a_day_is_not_written_over_either() {
    let (asked, url) = server(|path| path.contains("/history/").then(|| signed(7, 7).note));
    let mut outlet = HttpsOutlet::new(url, Credentials::default());
    let other = |at| Some([at as u8 ^ 1; 32]);
    assert_eq!(outlet.publish(&signed(7, 6), NOON, &other), Err(OutletError::Contradiction));
    assert!(asked.try_iter().all(|line| line.starts_with("GET ")), "nothing was put there");
    outlet.publish(&signed(7, 7), NOON, &honest(7)).unwrap();
    assert_eq!(asked.try_iter().filter(|line| line.starts_with("PUT ")).count(), 2);
}

/// A server that has a note where `note` says so, and takes whatever is put: the first line of each request, and where it is.
fn server(note: impl Fn(&str) -> Option<String> + Send + 'static) -> (mpsc::Receiver<String>, Url) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let (tell, asked) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(&stream);
            let lines = reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            let head: Vec<String> = lines.collect();
            let length =
                head.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            reader.read_exact(&mut vec![0; length.unwrap_or(0)]).unwrap();
            let _ = tell.send(head[0].clone()); // before it is answered; the test may be over
            let found = if head[0].starts_with("GET ") { note(&head[0]) } else { Some(String::new()) };
            let status = if found.is_some() { "200 OK" } else { "404 Not Found" };
            let content = found.unwrap_or_default();
            write!(&stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{content}", content.len()).unwrap();
        }
    });
    (asked, url)
}

#[test]
fn a_folder_that_is_not_there_is_an_error_until_it_is() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("medium"), "").unwrap();
    let mut outlet = FolderOutlet::new(home.path().join("medium/out"));
    assert!(matches!(outlet.publish(&signed(1, 1), NOON, &honest(1)), Err(OutletError::Io(_))));
    fs::remove_file(home.path().join("medium")).unwrap();
    outlet.publish(&signed(1, 1), NOON, &honest(1)).unwrap();
}
