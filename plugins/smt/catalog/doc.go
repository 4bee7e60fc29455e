// Package catalog lists the transforms and predicates with their settings, in the order in which the plugin describes
// them, and creates them. They have the names, settings and documentation of Kafka's classes.
package catalog
