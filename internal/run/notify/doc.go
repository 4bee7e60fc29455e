// Package notify is the HTTP listener for push notifications. A [Hub] has the servers of a worker. Connectors register
// a path with settings and a [Handler]; connectors with the same settings share a port.
//
// Senders are not trusted: the sizes, number and duration of requests are bounded. Invalid requests get a 4xx status,
// excess requests 503 with Retry-After. Both are counted and logged.
package notify
