package config

import (
	"slices"
	"strings"
	"unicode"
)

// unresolved reports whether a reference in the value could not be resolved.
func (e Entry) unresolved() bool { return e.Value.IsSecret() && e.Value.Reveal() == "" }

// UnresolvedKeys returns the settings with unresolved references, including those of the worker that the connector does
// not override.
func (c *Connector) UnresolvedKeys(workerKeys ...string) []string {
	names := unresolvedKeys(c.Entries)
	for _, name := range workerKeys {
		if !slices.ContainsFunc(c.Entries,
			func(entry Entry) bool { return strings.HasPrefix(name+".", entry.Key+".") }) {
			names = append(names, name)
		}
	}
	return names
}

// UnresolvedKeys returns the settings with unresolved references.
func (w *Worker) UnresolvedKeys() []string { return unresolvedKeys(w.layers.entries) }

func unresolvedKeys(entries []Entry) (names []string) {
	for _, entry := range entries {
		if entry.unresolved() {
			names = append(names, entry.Key)
		}
	}
	return names
}

// WithoutUnresolved omits problems that unresolved settings may cause: of these settings, of settings that contain
// them, such as value.converter, and problems that mention them.
func WithoutUnresolved(problems Problems, absent []string) Problems {
	return slices.DeleteFunc(problems, func(p Problem) bool {
		return slices.ContainsFunc(absent, func(name string) bool {
			return p.Setting == name || strings.HasPrefix(name, p.Setting+".") || Mentions(p.Text, name)
		})
	})
}

// Mentions reports whether a text contains the whole name of a setting.
func Mentions(text, name string) bool {
	inName := func(r rune) bool { return strings.ContainsRune(".-_#", r) || unicode.IsLetter(r) || unicode.IsDigit(r) }
	words := strings.FieldsFunc(text, func(r rune) bool { return !inName(r) })
	return slices.ContainsFunc(words, func(part string) bool { return strings.TrimRight(part, ".") == name })
}
