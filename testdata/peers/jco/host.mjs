// host.mjs FILE: runs plugins on Node as jco makes them components. FILE holds {"guests": [{"name", "wasm": path, "wit": text,
// "world", "calls": [{"interface", "function", "arguments"}]}]}; the answers go to standard output in the same order:
// {"NAME": {"answers": [{"ok"} | {"fault"} | {"trap"}], "log": [[level, message]]}}.
// In JSON bytes are {"$bytes": hex}, 64-bit integers {"$int": decimal}, lists of u16 and u32 {"$u16": [...]}, {"$u32": [...]}.
import { createRequire } from 'node:module';
import { mkdirSync, readFileSync, writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const packages = createRequire(join(process.env.JCO_HOME, 'package.json'));
const jco = name => import(pathToFileURL(packages.resolve(`@bytecodealliance/jco-transpile${name}`)));
const { transpileBytes } = await jco('');
const { componentEmbed, componentNew, parse } = await jco('/wasm-tools');
const here = dirname(fileURLToPath(import.meta.url));

// component makes one of a core module; modules of bindings generators say in a section which world they are.
async function component({ wasm, wit, world }) {
  let module = readFileSync(wasm);
  if (!module.includes('component-type:wit-bindgen:')) module = await componentEmbed({ binary: module, witSource: wit, world });
  return componentNew(module, [['wasi_snapshot_preview1', await parse(readFileSync(join(here, 'preview1.wat'), 'utf8'))]]);
}

async function instance(guest, folder, log) {
  const { files } = await transpileBytes(await component(guest), { name: guest.name, instantiation: 'async', noTypescript: true, noNodejsCompat: true });
  for (const [name, bytes] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), bytes);
  }
  const { instantiate } = await import(pathToFileURL(join(folder, `${guest.name}.js`)));
  return instantiate(name => WebAssembly.compile(readFileSync(join(folder, name))), {
    'culvert:connect/host': { log: (level, message) => log.push([level, message]) },
  });
}

function revive(_, v) {
  if (v === null || typeof v !== 'object') return v;
  if ('$bytes' in v) return new Uint8Array(Buffer.from(v.$bytes, 'hex'));
  if ('$int' in v) return BigInt(v.$int);
  if ('$u16' in v) return new Uint16Array(v.$u16);
  if ('$u32' in v) return new Uint32Array(v.$u32);
  return v;
}

function plain(_, v) {
  if (typeof v === 'bigint') return { $int: String(v) };
  if (v instanceof Uint8Array) return { $bytes: Buffer.from(v).toString('hex') };
  if (v instanceof Uint16Array) return { $u16: [...v] };
  if (v instanceof Uint32Array) return { $u32: [...v] };
  return v;
}

const camel = name => name.replace(/-(.)/g, (_, c) => c.toUpperCase());

function answer(exports, call) {
  try {
    return { ok: exports[call.interface][camel(call.function)](...call.arguments) };
  } catch (e) {
    return e instanceof WebAssembly.RuntimeError ? { trap: String(e) } : { fault: e.payload ?? e };
  }
}

const answers = {};
for (const guest of JSON.parse(readFileSync(process.argv[2], 'utf8'), revive).guests) {
  const folder = mkdtempSync(join(tmpdir(), 'culvert-jco-'));
  try {
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    const log = [];
    const exports = await instance(guest, folder, log);
    answers[guest.name] = { answers: guest.calls.map(call => answer(exports, call)), log };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
process.stdout.write(JSON.stringify(answers, plain));
