//! The table of room versions.

use rules::{Refused, versions};
use ruma::RoomVersionId;

#[test]
fn versions_6_to_12_and_no_others() {
    for number in 1..=20 {
        let version = RoomVersionId::try_from(number.to_string()).expect("a name");
        let supported = (6..=12).contains(&number);
        assert_eq!(versions::SUPPORTED.contains(&version), supported);
        match versions::rules(&version) {
            Ok(rules) => {
                // Ruma's own table says the same.
                assert_eq!(format!("{rules:?}"), format!("{:?}", version.rules().expect("it knows it")));
                assert!(supported);
            }
            Err(refused) => {
                assert!(!supported);
                assert_eq!(refused, Refused::UnsupportedRoomVersion(number.to_string()));
            }
        }
    }
    assert_eq!(versions::DEFAULT, RoomVersionId::V12);
}
