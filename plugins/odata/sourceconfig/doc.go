// Package sourceconfig declares the settings of the source and reads them into one [EntitySetConfig] per entity set.
//
// [Examine] validates, [EntitySets] reads; [FindSet] finds the entity set, function import or view in the metadata.
//
// Invariants: the name of a setting is declared once. Two configurations never read the same set with one identity.
package sourceconfig
