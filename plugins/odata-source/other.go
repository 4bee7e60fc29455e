package main

import (
	"bytes"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/uri"
	"github.com/culvert-project/culvert/wit"
)

// A service, or a gateway's cache before it, that answers with another set's rows fails by the keys that they lack.
// Where they have those keys, as the lines of an order have the order's, they would pass for rows with many nulls: so
// the type that the first row of a page says is compared with those.

// maxLookAlikes bounds the types that a feed watches for.
const maxLookAlikes = 100

// alikeSets are the sets by which entities of a set's type may be told: those of the same type, of one that it derives
// from, and of one that derives from it.
func alikeSets(m *edm.Model, s *edm.Structure) (names []string) {
	derives := func(t, from *edm.Structure) bool {
		for range edm.MaxDepth {
			if t == nil || t == from {
				return t == from
			}
			t = m.Structure(t.Base)
		}
		return true
	}
	for _, set := range m.Sets {
		if t := m.Structure(set.Type); len(names) < maxLookAlikes && t != nil && (derives(t, s) || derives(s, t)) {
			names = append(names, set.Name)
		}
	}
	return names
}

// otherSetsEntity is the set that an entity's address names, "" for one of the feed's own.
func (f *feed) otherSetsEntity(address string) string {
	set, _, err := uri.ParsePredicate(address)
	name := set[strings.LastIndexByte(set, '.')+1:]
	if err != nil || name == "" || strings.EqualFold(name, f.set) || len(f.sets) == maxLookAlikes ||
		slices.ContainsFunc(f.sets, func(own string) bool { return strings.EqualFold(own, name) }) {
		return ""
	}
	return set
}

// lookAlikes are the types of other sets that have all keys of a set's type, and are not derived from it.
func lookAlikes(m *edm.Model, s *edm.Structure) (names []string) {
	derived := func(t *edm.Structure) bool {
		for range edm.MaxDepth {
			if t == nil || t == s {
				return t == s
			}
			t = m.Structure(t.Base)
		}
		return true
	}
	for _, set := range m.Sets {
		t := m.Structure(set.Type)
		if t == nil || derived(t) || slices.Contains(names, t.QualifiedName()) || len(names) == maxLookAlikes ||
			slices.ContainsFunc(s.Key, func(key string) bool { return t.Property(key) == nil }) {
			continue
		}
		names = append(names, t.QualifiedName())
	}
	return names
}

// firstType is the type that the first row of a page says, "" where the page's first piece doesn't show it.
func firstType(text []byte, atom bool) string {
	if atom {
		return firstCategory(text)
	}
	const member = `"__metadata"`
	i := bytes.Index(text, []byte(member))
	if i < 0 || bytes.Count(text[:i], []byte("[")) != 1 || bytes.Count(text[:i], []byte(":")) > 4 {
		return "" // it may be that of a row inside
	}
	object, _, _ := bytes.Cut(text[i+len(member):], []byte("}"))
	_, rest, _ := bytes.Cut(object, []byte(`"type"`))
	rest, ok := bytes.CutPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte(":"))
	rest, quoted := bytes.CutPrefix(bytes.TrimLeft(rest, " \t\r\n"), []byte(`"`))
	name, _, ended := bytes.Cut(rest, []byte(`"`))
	if !ok || !quoted || !ended {
		return ""
	}
	return string(name)
}

// firstCategory is the type in Atom, whatever the prefix of its names.
func firstCategory(text []byte) string {
	at := 0
	for {
		i := bytes.Index(text[at:], []byte("category "))
		if i < 0 {
			return ""
		}
		if at += i; at > 0 && (text[at-1] == '<' || text[at-1] == ':') {
			break
		}
		at++
	}
	if before := text[:at]; !bytes.Contains(before, []byte("entry")) || bytes.Contains(before, []byte("inline>")) {
		return ""
	}
	element, _, _ := bytes.Cut(text[at:], []byte(">"))
	for _, quote := range []string{`"`, "'"} {
		if _, term, ok := bytes.Cut(element, []byte("term="+quote)); ok {
			name, _, _ := bytes.Cut(term, []byte(quote))
			return string(name)
		}
	}
	return ""
}

// otherSet is the fault of a page whose first row is of another set.
func (pg *page) otherSet(text []byte) *wit.Fault {
	if len(pg.feed.alike) == 0 {
		return nil
	}
	name := strings.TrimSpace(firstType(text, pg.atom))
	if !slices.Contains(pg.feed.alike, name) {
		return nil
	}
	return &wit.Fault{Kind: wit.FaultData, Message: pg.What() + ": expected rows of type " +
		pg.feed.structure().QualifiedName() + ", found rows of " + name + ", which is another entity set's"}
}
