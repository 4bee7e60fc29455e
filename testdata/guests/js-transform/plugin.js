// A transform in JavaScript: `js.Echo` hands its input back, `js.Upper` is a predicate that matches topics in upper case. A row
// costs some 60 microseconds here, so it is no example to follow for data: what matters is its size, 12 MB with the whole of a
// JavaScript engine in it.
import { log } from 'culvert:connect/host@0.3.0';

const failure = (kind, message) => ({ kind, message });
const component = (name, kind) => ({ name, kind, aliases: [], documentation: 'A component in JavaScript.', settings: [], prefixes: [] });

export const plugin = {
  describe: () => ({
    name: 'js-transform',
    version: '1.0.0',
    documentation: 'Größe: a plugin made with componentize-js.',
    components: [component('js.Echo', 'transformation'), component('js.Upper', 'predicate')],
  }),
  validate(name, settings, online, state, answers) {
    if (!plugin.describe().components.some(c => c.name === name)) throw failure('config', `unknown component ${name}`);
    return { tag: 'done', val: [] };
  },
};

export const transform = {
  prepare(chain) {
    if (chain.length !== 1) throw failure('unsupported', `expected one stage, found ${chain.length}`);
    log('info', `prepared ${chain[0].component}`);
    return new TextEncoder().encode(JSON.stringify(chain[0]));
  },
  apply(context, schemas, topics, rows, data) {
    try {
      JSON.parse(new TextDecoder().decode(context));
    } catch (e) {
      throw failure('internal', 'the context is not of this plugin');
    }
    return { schemas: [], topics: [], rows, data, errors: [], consumed: rows.length };
  },
  test: (context, schemas, topics, rows, data) => ({ matches: rows.map(r => topics[r.topic] === topics[r.topic].toUpperCase()), errors: [] }),
};
