//! The bytes of wit/encoding.md, written from the page alone.

use crate::culvert::connect::types::{Kind, SchemaNode};

pub fn number(n: i64, out: &mut Vec<u8>) {
    let mut u = ((n << 1) ^ (n >> 63)) as u64;
    while u >= 0x80 {
        out.push(u as u8 | 0x80);
        u >>= 7;
    }
    out.push(u as u8);
}

fn text(s: &str, out: &mut Vec<u8>) {
    bytes(s.as_bytes(), out);
}

fn bytes(b: &[u8], out: &mut Vec<u8>) {
    number(b.len() as i64, out);
    out.extend_from_slice(b);
}

fn read_number(b: &[u8], at: &mut usize) -> Result<i64, String> {
    let mut u = 0u64;
    for shift in (0..70).step_by(7) {
        let c = *b.get(*at).ok_or("ends inside a number")?;
        *at += 1;
        u |= ((c & 0x7f) as u64) << shift;
        if c < 0x80 {
            return Ok((u >> 1) as i64 ^ -((u & 1) as i64));
        }
    }
    Err("a number of more than ten bytes".into())
}

fn skip_block(b: &[u8], at: &mut usize) -> Result<(), String> {
    let n = read_number(b, at)?;
    if n < 0 || n as usize > b.len() - *at {
        return Err(format!("a length of {n} runs past the datum"));
    }
    *at += n as usize;
    Ok(())
}

/// Copies a structure, appending to one text field; false when it has no such field, or it is null.
pub fn append_text(nodes: &[SchemaNode], field: &str, suffix: &str, from: &[u8], out: &mut Vec<u8>) -> Result<bool, String> {
    let root = &nodes[0];
    if root.kind != Kind::Struct || root.optional {
        return Ok(false);
    }
    let (mut at, mut changed) = (0, false);
    for member in &root.fields {
        let node = &nodes[member.node as usize];
        let start = at;
        let null = node.optional && {
            let branch = *from.get(at).ok_or("ends inside a branch")?;
            at += 1;
            (branch == 0) == node.default_value.is_none()
        };
        let value = at;
        if !null {
            skip(nodes, node, from, &mut at)?;
        }
        if member.name == field && node.kind == Kind::String && !null {
            out.extend_from_slice(&from[start..value]);
            let mut content = value;
            let n = read_number(from, &mut content)? as usize + suffix.len();
            number(n as i64, out);
            out.extend_from_slice(&from[content..at]);
            out.extend_from_slice(suffix.as_bytes());
            changed = true;
        } else {
            out.extend_from_slice(&from[start..at]);
        }
    }
    Ok(changed)
}

fn skip(nodes: &[SchemaNode], node: &SchemaNode, b: &[u8], at: &mut usize) -> Result<(), String> {
    match node.kind {
        Kind::Boolean => *at += 1,
        Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64 => {
            read_number(b, at)?;
        }
        Kind::Float32 => *at += 4,
        Kind::Float64 => *at += 8,
        Kind::String | Kind::Bytes => skip_block(b, at)?,
        Kind::Struct => {
            for m in &node.fields {
                let inner = &nodes[m.node as usize];
                if inner.optional {
                    let branch = *b.get(*at).ok_or("ends inside a branch")?;
                    *at += 1;
                    if (branch == 0) == inner.default_value.is_none() {
                        continue;
                    }
                }
                skip(nodes, inner, b, at)?;
            }
        }
        _ => return Err("arrays and maps are more than this example reads".into()),
    }
    if *at > b.len() {
        return Err("ends inside a value".into());
    }
    Ok(())
}

/// The examples of the page, in its order: structured, dynamic, headers. Each is wrapped as the content of a `bytes` value.
pub fn examples() -> Vec<Vec<u8>> {
    structured().into_iter().chain(dynamic()).chain([headers()]).map(|example| {
        let mut wrapped = vec![];
        bytes(&example, &mut wrapped);
        wrapped
    }).collect()
}

fn made(f: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![];
    f(&mut out);
    out
}

fn structured() -> Vec<Vec<u8>> {
    vec![
        made(|o| number(150, o)),
        made(|o| number(-128, o)),
        vec![0],
        made(|o| { o.push(2); text("Größe", o) }),
        made(|o| { o.push(0); number(8, o) }),
        vec![2],
        made(|o| bytes(&(-129i16).to_be_bytes(), o)),
        made(|o| bytes(&128i16.to_be_bytes(), o)),
        made(|o| number(1_709_184_496_789, o)),
        made(|o| number(-1, o)),
        made(|o| { number(2, o); number(1, o); number(-1, o); o.push(0) }),
        vec![0],
        made(|o| { number(1, o); text("a", o); o.push(1); o.push(0) }),
        made(|o| { number(1, o); number(5, o); text("x", o); o.push(0) }),
        made(|o| { number(1, o); o.push(0); o.extend_from_slice(&0.5f64.to_le_bytes()) }),
    ]
}

fn dynamic() -> Vec<Vec<u8>> {
    vec![
        vec![0],
        vec![2],
        made(|o| { o.push(3); number(5, o) }),
        made(|o| { o.push(6); number(5, o) }),
        made(|o| { o.push(7); o.extend_from_slice(&f32::from_bits(0x7fc0_0000).to_le_bytes()) }),
        made(|o| { o.push(9); text("ü", o) }),
        made(|o| { o.push(10); bytes(&[0, 0xff], o) }),
        made(|o| { o.push(11); number(2, o); o.push(6); number(1, o); o.push(9); text("a", o) }),
        made(|o| { o.push(12); number(1, o); o.push(9); text("k", o); o.push(0) }),
        made(|o| { o.push(13); number(2, o); bytes(&1250i16.to_be_bytes(), o) }),
        made(|o| { o.push(14); number(0, o) }),
        made(|o| { o.push(15); number(3, o); bytes(&[2, 4], o) }),
    ]
}

fn headers() -> Vec<u8> {
    made(|o| {
        number(2, o);
        text("src", o);
        o.push(2);
        number(4, o);
        bytes(&made(|v| text("sap", v)), o);
        text("n", o);
        o.push(3);
        number(0, o);
        bytes(&[0], o);
    })
}
