//! What happens: plain functions `verb(&home, who, …)`, a folder for each part of Matrix.

pub mod account_data;
pub mod accounts;
pub mod bell;
pub mod config;
pub mod directory;
pub mod ephemera;
pub mod filters;
pub mod home;
pub mod lately;
pub mod limits;
pub mod mail;
pub mod notifications;
pub mod outage;
pub mod outgoing;
pub mod presence;
pub mod profiles;
pub mod push;
pub mod pushers;
pub mod receipts;
pub mod refusal;
pub mod reports;
pub mod rooms;
pub mod settings;
pub mod sms;
pub mod space;
pub mod sync;
pub mod threepids;
pub mod token;
pub mod typing;
pub mod verify;
pub mod who;

pub use home::{Clock, Dice, Home};
pub use refusal::{Answer, Refusal};
pub use token::Token;
