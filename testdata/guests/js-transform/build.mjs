// build.mjs OUT.wasm: makes a component of plugin.js and takes its one large core module out, which is what our host runs.
import { createRequire } from 'node:module';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const packages = createRequire(join(process.env.JCO_HOME, 'package.json'));
// This package has no entry for resolve.
const { componentize } = await import(pathToFileURL(join(process.env.JCO_HOME, 'node_modules/@bytecodealliance/componentize-js/src/componentize.js')));
const { transpileBytes } = await import(pathToFileURL(packages.resolve('@bytecodealliance/jco-transpile')));
const here = dirname(fileURLToPath(import.meta.url));

const { component } = await componentize(readFileSync(join(here, 'plugin.js'), 'utf8'), readFileSync(join(here, '../../../wit/culvert.wit'), 'utf8'), {
  worldName: 'transform-plugin',
  disableFeatures: ['random', 'stdio', 'clocks', 'http', 'fetch-event'],
});
const { files } = await transpileBytes(component, { name: 'guest', instantiation: 'async', noTypescript: true });
writeFileSync(process.argv[2], files['guest.core.wasm']);
