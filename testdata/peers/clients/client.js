// client.js HOST PORT NAME CONFIG: kafka-connect-client goes through its calls; a line each with what was answered.
const { KafkaConnectClient } = require('kafka-connect-client');
const [host, port, name, config] = process.argv.slice(2);
const client = new KafkaConnectClient({ host, port: Number(port) });

async function step(what, call) {
  let status, data;
  try { ({ status, data } = await call()); } catch (e) {
    if (!e.response) throw e;
    ({ status, data } = e.response);
  }
  console.log(what, status, JSON.stringify(data ?? ''));
  return data;
}

(async () => {
  const c = client.connector(name);
  await step('getCluster', () => client.getCluster());
  await step('getConnectorPlugins', () => client.getConnectorPlugins());
  await step('createConnector', () => client.createConnector(name, JSON.parse(config)));
  for (let end = Date.now() + 60000; Date.now() < end;) {
    const { data } = await c.getStatus();
    if (data.connector.state === 'RUNNING' && data.tasks.length && data.tasks.every((t) => t.state === 'RUNNING')) break;
    await new Promise((r) => setTimeout(r, 100));
  }
  await step('getStatus', () => c.getStatus());
  await step('getConnectors', () => client.getConnectors());
  await step('getConnectorsExpanded', () => client.getConnectors({ expand: 'status' }));
  await step('get', () => c.get());
  await step('getConfig', () => c.getConfig());
  await step('updateConfig', () => c.updateConfig({ ...JSON.parse(config), 'tasks.max': '2' }));
  await step('getTasks', () => c.getTasks());
  await step('getOffsets', () => c.getOffsets());
  await step('pause', () => c.pause());
  await step('resume', () => c.resume());
  await step('stop', () => c.stop());
  await step('resetTopics', () => c.resetTopics());
  await step('alterOffsets', () => c.alterOffsets([]));
  await step('delete', () => c.delete());
  await step('getStatusOfNone', () => c.getStatus());
})().catch((e) => { console.error(e); process.exit(1); });
