//! smith COUNT SEED: writes modules to standard output, each behind its length in four bytes, little-endian. They use what our meter
//! knows, end by themselves, since wasm-smith gives them fuel, and write numbers longer than needed every now and then.

use std::io::Write;

use wasm_smith::{Config, Module};

/// splitmix64
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn config(state: &mut u64) -> Config {
    let mut c = Config::default();
    c.max_imports = 0;
    c.min_types = 4;
    c.min_funcs = 3;
    c.max_funcs = 12;
    c.min_exports = 4;
    c.export_everything = true;
    c.max_instructions = [50, 200, 800][(random(state) % 3) as usize];
    c.min_uleb_size = [1, 1, 1, 5][(random(state) % 4) as usize];
    c.min_memories = 1;
    c.max_memories = 1;
    c.max_memory32_bytes = 40 << 16;
    c.memory_max_size_required = true;
    c.min_tables = 1;
    c.max_tables = 3;
    c.max_table_elements = 1000;
    c.table_max_size_required = true;
    c.generate_custom_sections = random(state) % 2 == 0;
    c.canonicalize_nans = true;
    c.exceptions_enabled = false;
    c.gc_enabled = false;
    c.simd_enabled = false;
    c.relaxed_simd_enabled = false;
    c.tail_call_enabled = false;
    c.threads_enabled = false;
    c.memory64_enabled = false;
    c.wide_arithmetic_enabled = false;
    c.extended_const_enabled = false;
    c.compact_imports_enabled = false;
    c
}

fn main() {
    let mut args = std::env::args().skip(1).map(|a| a.parse::<u64>().expect("a number"));
    let (count, mut state) = (args.next().expect("COUNT"), args.next().expect("SEED"));
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut made = 0;
    while made < count {
        let size = 2000 + random(&mut state) % 14000;
        let bytes: Vec<u8> = (0..size).map(|_| random(&mut state) as u8).collect();
        let config = config(&mut state);
        let Ok(mut module) = Module::new(config, &mut arbitrary::Unstructured::new(&bytes)) else { continue };
        if module.ensure_termination(500).is_err() {
            continue;
        }
        let code = module.to_bytes();
        out.write_all(&(code.len() as u32).to_le_bytes()).and_then(|()| out.write_all(&code)).expect("standard output");
        made += 1;
    }
}
