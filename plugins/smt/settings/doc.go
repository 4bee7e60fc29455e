// Package settings declares the settings of transforms, and reads them as Kafka's ConfigDef does, with its messages.
package settings
