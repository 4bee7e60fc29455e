// Package retire ends what a connector has opened at its services: queues of changes and subscriptions (P15).
package retire
