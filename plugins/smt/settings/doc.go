// Package settings reads and declares the settings of transforms as Kafka's ConfigDef does: [Values] reads them, [Key]
// and the like declare them.
// Invariants: Messages are Kafka's, word for word.
package settings
