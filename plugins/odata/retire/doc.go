// Package retire ends what a connector has opened at its services: delta queues of ODP and subscriptions (P15).
package retire
