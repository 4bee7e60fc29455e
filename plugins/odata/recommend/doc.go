// Package recommend checks the settings of a source together with what its services say, and recommends values.
package recommend
