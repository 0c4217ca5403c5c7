//! Tests of the simulated disk against the real one, and of what a loss of power leaves.

use std::io::ErrorKind;

use super::{Disk, RealDisk, SimDisk};

fn read(disk: &dyn Disk, name: &str) -> Vec<u8> {
    let file = disk.open(name).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

fn exercise(disk: &dyn Disk) {
    assert_eq!(disk.open("a").unwrap_err().kind(), ErrorKind::NotFound);
    let file = disk.create("a").unwrap();
    assert_eq!(disk.create("a").unwrap_err().kind(), ErrorKind::AlreadyExists);
    file.write_at(3, b"abc").unwrap();
    assert_eq!(read(disk, "a"), b"\0\0\0abc");
    assert_eq!(file.read_at(4, &mut [0; 3]).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    file.set_len(5).unwrap();
    file.sync_data().unwrap();
    disk.create("c").unwrap();
    disk.rename("a", "b").unwrap();
    assert_eq!(disk.list().unwrap(), ["b", "c"]);
    disk.rename("b", "c").unwrap();
    assert_eq!(read(disk, "c"), b"\0\0\0ab");
    let inner = disk.directory("inner").unwrap();
    inner.create("d").unwrap();
    assert_eq!((disk.list().unwrap(), inner.list().unwrap()), (vec!["c".to_string()], vec!["d".to_string()]));
    disk.remove("c").unwrap();
    assert_eq!(disk.remove("c").unwrap_err().kind(), ErrorKind::NotFound);
    disk.sync_dir().unwrap();
    file.write_at(0, b"x").unwrap();
    let mut one = [0];
    file.read_at(0, &mut one).unwrap();
    assert_eq!(&one, b"x", "an open file outlives its name");
    assert!(disk.room().unwrap() > 0);
}

#[test]
fn the_simulated_disk_behaves_like_the_real_one() {
    let directory = tempfile::tempdir().unwrap();
    exercise(&RealDisk::new(directory.path()));
    exercise(&SimDisk::new());
}

#[test]
fn a_loss_of_power_keeps_what_was_synced_and_any_part_of_the_rest_the_same_for_a_seed() {
    let disk = SimDisk::new();
    let file = disk.create("a").unwrap();
    file.write_at(0, &[1; 4096]).unwrap();
    file.sync_data().unwrap();
    let (mut gone, mut torn, mut whole) = (0, 0, 0);
    disk.sync_dir().unwrap();
    file.write_at(100, &[2; 3000]).unwrap();
    disk.create("b").unwrap();
    for seed in 0..60 {
        let found = disk.after_power_loss(seed);
        let bytes = read(&found, "a");
        assert_eq!(bytes, read(&disk.after_power_loss(seed), "a"));
        assert_eq!((bytes.len(), &bytes[..100], &bytes[3100..]), (4096, &[1; 100][..], &[1; 996][..]));
        let new = bytes.iter().filter(|byte| **byte == 2).count();
        let count = match new {
            0 => &mut gone,
            3000 => &mut whole,
            _ => &mut torn,
        };
        *count += 1;
    }
    assert!(gone >= 20 && torn > 10 && whole > 5, "{gone} {torn} {whole}");
    let names: Vec<_> = (0..60).map(|seed| disk.after_power_loss(seed).list().unwrap().len()).collect();
    assert!(names.contains(&1) && names.contains(&2));
}

#[test]
fn a_full_disk_takes_what_fits_and_rewrites_what_it_has() {
    let disk = SimDisk::new();
    disk.set_capacity(Some(8192));
    let file = disk.create("a").unwrap();
    assert_eq!(file.write_at(4000, &[1; 6000]).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!((file.len().unwrap(), disk.room().unwrap()), (8192, 0));
    file.write_at(0, &[2; 8192]).unwrap();
    file.set_len(4096).unwrap();
    assert_eq!(disk.room().unwrap(), 4096);
}

#[test]
fn a_disk_fails_when_told_to_and_heals() {
    let disk = SimDisk::new();
    disk.fail_some(1, 1, ErrorKind::Other);
    let file = disk.create("a").unwrap();
    assert!(file.write_at(0, b"x").is_err());
    file.write_at(0, b"x").unwrap();
    disk.cut();
    assert!(file.sync_data().is_err() && disk.sync_dir().is_err());
    disk.heal();
    disk.set_lying(true);
    file.sync_data().unwrap();
    assert!(disk.after_power_loss(0).list().unwrap().is_empty());
}
