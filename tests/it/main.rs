mod config;
mod dag;
mod table;
