package config

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"

	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Brought is what REST wrote of the references in the files of connectors, kept in a file of its own. For them other
// config providers count than for those that somebody wrote into a file, see [Providers].
//
// A reference is REST's as long as it stands at the setting of the connector, in the form, in which REST wrote it. One
// that is another, because somebody has changed the file, is theirs: who writes files of the installation may read what
// the worker may. All methods may be called at any time; nil notes nothing.
type Brought struct {
	// by the names of connectors that REST wrote: digests of the references that it brought, by their settings.
	notes *noted[map[string]string]
}

// OpenBrought reads the file, which need not be there; "" keeps all in memory. One that cannot be read is an error:
// without it what REST wrote would read every file of the worker.
func OpenBrought(path string) (*Brought, error) {
	notes, err := openNoted[map[string]string]("references that REST wrote", path)
	if err != nil {
		return nil, err
	}
	return &Brought{notes}, nil
}

// digest stands for a value as it was written, which may hold a secret in addition to its reference.
func digest(raw string) string {
	sum := sha256.Sum256([]byte(raw))
	return hex.EncodeToString(sum[:16])
}

// mark notes in the entries of a file which of them REST wrote.
func (b *Brought) mark(entries []Entry) {
	if b == nil {
		return
	}
	named, ok := entryOf(entries, "name")
	if !ok {
		return // REST writes one
	}
	notes, _ := b.notes.get(setting.Trim(named.Raw))
	for i := range entries {
		e := &entries[i]
		e.Brought = notes[e.Key] != "" && notes[e.Key] == digest(e.Raw)
	}
}

// while has the references of a connector that REST brings noted before write writes its file, and those that the file
// held before forgotten after it: a crash leaves no reference of REST's without its note.
func (b *Brought) while(c *Connector, write func() error) error {
	if b == nil {
		return write()
	}
	now := map[string]string{}
	for _, e := range c.Entries {
		if e.Brought && reference.MatchString(e.Raw) {
			now[e.Key] = digest(e.Raw)
		}
	}
	before, _ := b.notes.get(c.Name)
	both := maps.Clone(now)
	for key, note := range before {
		if both[key] == "" {
			both[key] = note
		}
	}
	note := func(notes map[string]string) error {
		return b.notes.change(func(next map[string]map[string]string) { next[c.Name] = notes })
	}
	if err := note(both); err != nil {
		return err
	}
	if err := write(); err != nil {
		return err // with notes too many: they hold for nothing that is there
	}
	return note(now)
}

// Forget takes out what was noted of a connector: one of its name is a new one.
func (b *Brought) Forget(name string) error {
	if b == nil {
		return nil
	}
	return b.notes.forget(name)
}

// Unknown tells whether it is not known who wrote the references of a connector: its file is one that REST has written,
// before such was noted, and has references that are not open to REST. own: it is in the worker's own folder.
func (b *Brought) Unknown(c *Connector, own bool, providers *Providers) bool {
	if b == nil {
		return false
	}
	if _, noted := b.notes.get(c.Name); noted || !own && !inFormOfREST(c.File) {
		return false
	}
	return slices.ContainsFunc(c.Entries, func(e Entry) bool { return providers.refers(e) && !providers.Open(e) })
}

// inFormOfREST tells whether a file is to the byte as REST writes it.
func inFormOfREST(path string) bool {
	data, err := ReadRegular(path)
	if err != nil {
		return false
	}
	entries, problems := Read(path, data)
	if problems.Err() != nil {
		return false
	}
	written, err := connectorFile(path, nil, rawOf(entries), nil)
	return err == nil && string(written) == string(data)
}

// NewBrought is the connector of settings that REST brings, in the order of their names; at says what they are. stored
// is the one of its name that is stored, nil where there is none: what stands in it at the same setting is whose it
// was.
func NewBrought(at string, settings map[string]string, stored *Connector, providers *Providers) *Connector {
	var entries []Entry
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		e := NewEntry(key, settings[key], at, 0)
		e.Brought = true
		if before, ok := stored.keeps(e); ok && sameStage(key, settings, stored) {
			e.Brought = before.Brought
		}
		entries = append(entries, e)
	}
	c, problems := NewConnector(at, entries, providers)
	c.Problems = problems
	return c
}

// keeps is the entry of a connector that has a setting as it is written elsewhere.
func (c *Connector) keeps(e Entry) (before Entry, ok bool) {
	if c == nil {
		return before, false
	}
	before, ok = c.Entry(e.Key)
	return before, ok && before.Raw == e.Raw
}

// sameStage tells whether a setting of a transform or predicate is one of the same class as it is stored: another class
// may do something else with the value.
func sameStage(key string, settings map[string]string, stored *Connector) bool {
	prefix := partOf(key)
	if prefix == "" {
		return true
	}
	before, _ := stored.Entry(prefix + "type")
	return setting.Trim(settings[prefix+"type"]) == setting.Trim(before.Raw)
}
