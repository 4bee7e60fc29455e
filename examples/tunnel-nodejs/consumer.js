// node consumer.js: prints messages as JSON lines and commits them as a member of GROUP (default test-group). It ends on SIGTERM or
// Ctrl-C, or when it has seen COUNT=n messages; those at hand by then are printed, too, for they are committed.
const { kafka, topic } = require('./kafka');

async function run() {
  const count = Number(process.env.COUNT || 0);
  const consumer = kafka.consumer({ groupId: process.env.GROUP || 'test-group', sessionTimeout: 10000, heartbeatInterval: 1000 });
  let seen = 0;
  let finish;
  const finished = new Promise((resolve) => { finish = resolve; });
  process.once('SIGTERM', finish);
  process.once('SIGINT', finish);
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    console.error(payload.error.message);
    if (payload.restart) return; // the client joins again by itself, for example while a coordinator still loads its groups
    process.exitCode = 1;
    finish();
  });
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => console.error(`joined ${payload.groupId}`));
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ partition, message }) => {
      console.log(JSON.stringify({ partition, offset: message.offset, value: message.value.toString() }));
      if (++seen >= count && count > 0) finish();
    },
  });
  await finished;
  await consumer.disconnect(); // commits what was handed out, and leaves the group
}

run().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
