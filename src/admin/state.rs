//! What is served at this moment and how it goes, as JSON.

pub mod shape;
