// Package inspect has the source's commands that ask a service: ping, list-entitysets, extract-schema, peek,
// list-services, active-subscriptions and delete-subscription.
package inspect
