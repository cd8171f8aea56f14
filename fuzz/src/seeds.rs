//! Writes the first inputs of all targets, corpus/<target>/seed-<number>, into the directory that is named.

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let corpus = PathBuf::from(env::args_os().nth(1).unwrap_or_else(|| "fuzz/corpus".into()));
    for (name, maker) in fuzz::targets() {
        let directory = corpus.join(name);
        fs::create_dir_all(&directory)?;
        for (number, seed) in maker().seeds.iter().enumerate() {
            fs::write(directory.join(format!("seed-{number}")), seed)?;
        }
        println!("{name}");
    }
    Ok(())
}
