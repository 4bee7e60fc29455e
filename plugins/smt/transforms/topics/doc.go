// Package topics contains the transforms that change the topic.
// Invariants: The topic depends on the old topic and the timestamp only.
package topics
