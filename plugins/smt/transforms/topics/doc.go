// Package topics contains the transforms that change the topic.
// Invariants: the topic depends on the old topic and the timestamp only.
package topics
