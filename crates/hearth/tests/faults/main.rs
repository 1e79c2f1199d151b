//! What goes wrong around a server, and that nothing acknowledged is lost by it: the process killed, the
//! database gone, the disk full, clients that are slow or dead. And what is there for the day after:
//! `hearth backup` and `hearth verify`. All with the program as it is, in a process of its own.

#![allow(unreachable_pub, reason = "a test is no library")]

mod abuse;
mod backup;
mod cluster;
mod crowd;
mod deeds;
mod disk;
mod kill;
mod outage;
mod person;
mod place;
mod port;
mod pushing;
mod verify;
