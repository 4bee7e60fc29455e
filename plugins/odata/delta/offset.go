package delta

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/paging"
	"github.com/culvert-project/culvert/wit"
)

func (*loading) name() string          { return "load" }
func (*readingSnapshot) name() string  { return "second" }
func (*comparing) name() string        { return "keys" }
func (*readingHidden) name() string    { return "hidden" }
func (*readingChanges) name() string   { return "changes" }
func (*idle) name() string             { return "changes" }
func (*findingDeltaLink) name() string { return "links" }
func (*legacyLoad) name() string       { return "load" }
func (p *subscribing) name() string    { return p.step }

func (p *subscribing) target() string      { return p.url }
func (p *loading) target() string          { return p.url }
func (p *readingSnapshot) target() string  { return p.link }
func (r *readingHidden) target() string    { return r.link }
func (p *readingChanges) target() string   { return p.url }
func (p *idle) target() string             { return p.link }
func (p *findingDeltaLink) target() string { return p.url }
func (p *legacyLoad) target() string       { return p.url }

func (c *common) fields() []paging.OffsetField {
	return []paging.OffsetField{{Name: "began", Number: &c.startedAt, Min: 1},
		{Name: "rewritten", Text: &c.rewriteSettings},
		{Name: "pass", Number: &c.lostTokens, Min: 1}, {Name: "resumed", Flag: &c.resumed},
		{Name: "snapshot", Number: &c.snapshot, Min: 1}, {Name: "owed", Number: &c.endMarkerPending, Min: 1},
		{Name: "complete", Text: &c.verdict}}
}

func (p *subscribing) fields() []paging.OffsetField {
	return append(p.common.fields(), paging.OffsetField{Name: "url", Text: &p.url},
		paging.OffsetField{Name: "again", Flag: &p.terminated})
}

func (p *loading) fields() []paging.OffsetField {
	return append(p.common.fields(), paging.OffsetField{Name: "url", Text: &p.url}, paging.OffsetField{Name: "inside",
		Flag: &p.continued},
		paging.OffsetField{Name: "applied", Flag: &p.applied}, paging.OffsetField{Name: "seen", Number: &p.rowsRead,
			Min: 1},
		paging.OffsetField{Name: "counted", Flag: &p.linksCountRows},
		paging.OffsetField{Name: "doubt", Text: &p.lastKey},
		paging.OffsetField{Name: "followed", Loop: &p.followed})
}

func (p *readingSnapshot) fields() []paging.OffsetField {
	return append(p.common.fields(), paging.OffsetField{Name: "url", Text: &p.link}, paging.OffsetField{Name: "beside",
		Flag: &p.onDemand},
		paging.OffsetField{Name: "inside", Flag: &p.started})
}

func (r *readingHidden) fields() []paging.OffsetField {
	return append(r.common.fields(), paging.OffsetField{Name: "url", Text: &r.link},
		paging.OffsetField{Name: "hidden", Text: &r.keys}, paging.OffsetField{Name: "seen", Number: &r.rowsRead, Min: 1})
}

func (p *readingChanges) fields() []paging.OffsetField {
	return append(p.common.fields(), paging.OffsetField{Name: "url", Text: &p.url},
		paging.OffsetField{Name: "link", Text: &p.link},
		paging.OffsetField{Name: "inside", Flag: &p.continued}, paging.OffsetField{Name: "seen", Number: &p.rowsRead,
			Min: 1},
		paging.OffsetField{Name: "again", Flag: &p.retriedAfter202},
		paging.OffsetField{Name: "relinked", Flag: &p.retriedAfterLostPage},
		paging.OffsetField{Name: "untold", Flag: &p.unnotified},
		paging.OffsetField{Name: "followed", Loop: &p.followed})
}

func (p *idle) fields() []paging.OffsetField {
	rests := true
	return append(p.common.fields(), paging.OffsetField{Name: "url", Text: &p.link},
		paging.OffsetField{Name: "rest", Flag: &rests},
		paging.OffsetField{Name: "at", Number: &p.at, Min: 1})
}

func (p *findingDeltaLink) fields() []paging.OffsetField {
	return append(p.common.fields(), paging.OffsetField{Name: "why", Text: &p.reason},
		paging.OffsetField{Name: "url", Text: &p.url},
		paging.OffsetField{Name: "link", Text: &p.link}, paging.OffsetField{Name: "token", Text: &p.token},
		paging.OffsetField{Name: "created", Text: &p.created}, paging.OffsetField{Name: "first", Flag: &p.initialLoad},
		paging.OffsetField{Name: "followed", Loop: &p.followed})
}

func (p *legacyLoad) fields() []paging.OffsetField {
	return append(p.common.fields(), paging.OffsetField{Name: "url", Text: &p.url},
		paging.OffsetField{Name: "kept", Text: &p.deltaLink},
		paging.OffsetField{Name: "token", Text: &p.token})
}

// snapshotPrefix starts the names of the fields of a snapshot's position.
const snapshotPrefix = "second."

var fieldOrder = strings.Fields("phase url rest at began inside link seen applied token why created first rewritten " +
	"again " +
	"relinked resumed untold counted doubt pass owed snapshot beside complete hidden followed")

func writePhase(current phase) []wit.OffsetEntry {
	items := current.fields()
	slices.SortFunc(items, func(a, b paging.OffsetField) int {
		return slices.Index(fieldOrder, a.Name) - slices.Index(fieldOrder, b.Name)
	})
	fields := append([]wit.OffsetEntry{wit.StringEntry("phase", current.name())}, paging.WriteFields(items)...)
	if p := snapshotOf(current); p != nil {
		fields = append(fields, addPrefix(snapshotPrefix, p.position)...)
	}
	return fields
}

func addPrefix(prefix string, fields []wit.OffsetEntry) (all []wit.OffsetEntry) {
	for _, field := range fields {
		all = append(all, wit.OffsetEntry{Name: prefix + field.Name, Value: field.Value})
	}
	return all
}

func stripPrefix(prefix string, fields []wit.OffsetEntry) (all []wit.OffsetEntry) {
	for _, field := range fields {
		if name, ok := strings.CutPrefix(field.Name, prefix); ok {
			all = append(all, wit.OffsetEntry{Name: name, Value: field.Value})
		}
	}
	return all
}

func readPhase(offset []wit.OffsetEntry) (phase, error) {
	if len(offset) == 0 {
		return nil, nil
	}
	var current phase
	switch name, waits := paging.TextField(offset, "phase"), paging.FlagField(offset, "rest"); {
	case name == "" && strings.Contains(strings.ToLower(paging.TextField(offset, "url")), "deltatoken"):
		current = &idle{} // imported from another connector
	case name == "changes" && waits:
		current = &idle{}
	case name == "load" && paging.FlagField(offset, "plain"), name == "changes" && paging.FlagField(offset, "counted"):
		current = &legacyLoad{}
	case name == "changes":
		current = &readingChanges{}
	case name == "load":
		current = &loading{}
	case name == "second":
		current = &readingSnapshot{}
	case name == "keys":
		current = &comparing{}
	case name == "hidden":
		current = &readingHidden{}
	case name == "links":
		current = &findingDeltaLink{}
	case name == stepCheckSubscribed || name == stepTerminate || name == stepExtract || name == stepAwaitExtraction:
		current = &subscribing{step: name}
	default:
		return nil, &wit.Error{Kind: wit.ErrorIncompatible,
			Message: "offset: expected a phase of delta mode, found \"" + name + "\""}
	}
	if err := paging.ReadFields(offset, current.fields()); err != nil {
		return nil, err
	}
	if current.target() == "" {
		return nil, &wit.Error{Kind: wit.ErrorIncompatible,
			Message: "offset: expected field url with a path, found none"}
	}
	if p := snapshotOf(current); p != nil {
		return current, p.read(offset)
	}
	return current, nil
}

func (p *readingSnapshot) read(offset []wit.OffsetEntry) error {
	p.onDemand = p.onDemand || paging.TextField(offset, "kept") != "" // of earlier versions
	if paging.TextField(offset, "came") != "" {
		// Of an earlier version that read keys first: only the first page's position is usable.
		p.snapshot, p.started = max(p.startedAt, p.snapshot+1), false
	}
	p.position = stripPrefix(snapshotPrefix, offset)
	at, err := paging.Read(p.position)
	if at == nil && err == nil {
		err = &wit.Error{Kind: wit.ErrorIncompatible,
			Message: "offset: expected a field " + snapshotPrefix + "url, found none"}
	}
	return err
}

// CheckOffset reports whether an offset can be continued.
func CheckOffset(offset []wit.OffsetEntry) error {
	_, err := readPhase(offset)
	return err
}

// IsDeltaOffset reports whether an offset was written in delta mode.
func IsDeltaOffset(offset []wit.OffsetEntry) bool {
	_, ok := wit.Lookup(offset, "phase")
	return ok
}
