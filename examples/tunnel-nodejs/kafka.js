// What producer and consumer share. The brokers are the tunnel's: no socketFactory, no proxy, no token in this program.
const { Kafka, logLevel } = require('kafkajs');

const username = process.env.KAFKA_USERNAME;

exports.topic = process.env.KAFKA_TOPIC || 'nodejs-trial';

exports.kafka = new Kafka({
  clientId: 'dw-client',
  brokers: (process.env.KAFKA_BROKERS || '127.0.0.1:9092').split(','),
  // Only where the worker's file has no sasl.*: the tunnel then passes this logon on to the brokers.
  sasl: username && { mechanism: process.env.KAFKA_MECHANISM || 'scram-sha-256', username, password: process.env.KAFKA_PASSWORD },
  requestTimeout: 30000,
  authenticationTimeout: 7000,
  logLevel: logLevel.ERROR,
});
