// node producer.js [TEXT…]: sends each text as a message; numbered ones where COUNT=n is set.
const { kafka, topic } = require('./kafka');

async function run() {
  const texts = process.argv.slice(2);
  const count = Number(process.env.COUNT || 0);
  for (let i = 0; i < count; i++) texts.push(`message ${i}`);
  if (texts.length === 0) texts.push('Hello KafkaJS user!');
  const producer = kafka.producer();
  await producer.connect();
  const sent = await producer.send({ topic, acks: -1, messages: texts.map((value, i) => ({ key: String(i), value })) });
  await producer.disconnect();
  console.log(JSON.stringify({ topic, messages: texts.length, partitions: sent.length }));
}

run().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
