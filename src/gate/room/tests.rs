use std::sync::Arc;

use super::*;
use crate::policy::action::Action;

const MARKS: Marks = Marks { data: 300, reads: 200, floor: 100 };

/// A room whose free bytes are set by hand.
fn room(free: u64) -> (Room, Arc<AtomicU64>) {
    let bytes = Arc::new(AtomicU64::new(free));
    let told = bytes.clone();
    (Room::new(MARKS, move || Some(told.load(Ordering::SeqCst))), bytes)
}

#[test]
fn each_mark_stops_one_thing_more() {
    let (room, free) = room(u64::MAX);
    for (bytes, level, data, entry, duty) in [
        (300, Level::Open, true, true, true),
        (299, Level::ReadOnly, false, true, true),
        (200, Level::ReadOnly, false, true, true),
        (199, Level::DutiesOnly, false, false, true),
        (100, Level::DutiesOnly, false, false, true),
        (99, Level::Full, false, false, false),
        (0, Level::Full, false, false, false),
        (u64::MAX, Level::Open, true, true, true),
    ] {
        free.store(bytes, Ordering::SeqCst);
        room.look();
        assert_eq!((room.level(), room.free_bytes()), (level, bytes));
        for (draw, admitted) in [(Draw::Data, data), (Draw::Entry, entry), (Draw::Duty, duty)] {
            assert_eq!(room.admit(draw).is_ok(), admitted, "{bytes} {draw:?}");
        }
    }
}

#[test]
fn new_data_is_told_that_there_is_no_room_and_the_rest_that_nothing_can_be_recorded() {
    let (room, _) = room(0);
    assert_eq!(room.admit(Draw::Data), Err(Unavailable::StorageFull));
    assert_eq!(room.admit(Draw::Entry), Err(Unavailable::LogUnavailable));
    assert_eq!(room.admit(Draw::Duty), Err(Unavailable::LogUnavailable));
}

#[test]
fn a_call_that_would_be_refused_looks_again_but_not_all_the_time() {
    let (room, free) = room(0);
    free.store(u64::MAX, Ordering::SeqCst);
    assert!(room.admit(Draw::Entry).is_err(), "somebody just looked");
    std::thread::sleep(2 * ROOM_LOOK);
    assert_eq!(room.admit(Draw::Data), Ok(()));
}

#[test]
fn a_full_engine_is_full_until_it_has_written_whatever_the_volume_says() {
    let (room, _) = room(u64::MAX);
    room.engine_is_full();
    room.look();
    assert_eq!((room.level(), room.admit(Draw::Duty)), (Level::Full, Err(Unavailable::LogUnavailable)));
    room.engine_writes();
    assert_eq!((room.level(), room.admit(Draw::Data)), (Level::Open, Ok(())));
}

#[test]
fn a_volume_that_cannot_be_asked_is_as_it_was() {
    let free = Arc::new(std::sync::Mutex::new(Some(150)));
    let told = free.clone();
    let room = Room::new(MARKS, move || *told.lock().unwrap());
    *free.lock().unwrap() = None;
    room.look();
    assert_eq!((room.level(), room.free_bytes()), (Level::DutiesOnly, 150));
}

#[test]
fn a_reserve_is_what_it_pays_for_beyond_what_the_engine_needs() {
    let marks = Marks::of_reserve(10, 100);
    assert_eq!(marks.floor, ENGINE_FREE_BYTES);
    assert_eq!(marks.reads - marks.floor, 10 * ERASURE_RESERVE_BYTES);
    assert_eq!(marks.data - marks.reads, 100 * READ_RESERVE_BYTES);
}

#[test]
fn what_takes_away_goes_on_longest_and_what_stores_stops_first() {
    let of = |draw| Action::ALL.iter().filter(move |action| action.draw() == draw).count();
    assert_eq!(of(Draw::Data) + of(Draw::Entry) + of(Draw::Duty), Action::ALL.len());
    for action in [Action::DeleteItem, Action::EraseSubject, Action::RestrictSubject, Action::PlaceHold] {
        assert_eq!(action.draw(), Draw::Duty, "{action}");
    }
    for action in [Action::CreateSubject, Action::PutItem, Action::UpdateItem, Action::UploadDocument] {
        assert_eq!(action.draw(), Draw::Data, "{action}");
    }
    assert_eq!((Action::GetItem.draw(), Action::GetStatus.draw()), (Draw::Entry, Draw::Entry));
}
