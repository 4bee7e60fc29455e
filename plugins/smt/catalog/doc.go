// Package catalog lists the transforms and predicates with their settings, and creates them. Names, settings and
// documentation are those of Kafka's classes, in the order in which the plugin describes them.
package catalog
