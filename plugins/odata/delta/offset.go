package delta

import (
	"slices"
	"strings"

	"github.com/culvert-project/culvert/plugins/odata/load"
	"github.com/culvert-project/culvert/wit"
)

func (*loading) name() string    { return "load" }
func (*rescanning) name() string { return "second" }
func (*changing) name() string   { return "changes" }
func (*resting) name() string    { return "changes" }
func (*listing) name() string    { return "links" }
func (*plainLoad) name() string  { return "load" }
func (p *asking) name() string   { return p.step }

func (p *asking) target() string     { return p.url }
func (p *loading) target() string    { return p.url }
func (p *rescanning) target() string { return p.link }
func (p *changing) target() string   { return p.url }
func (p *resting) target() string    { return p.link }
func (p *listing) target() string    { return p.url }
func (p *plainLoad) target() string  { return p.url }

func (c *course) items() []load.Item {
	return []load.Item{{Name: "began", Number: &c.began, Least: 1}, {Name: "rewritten", Text: &c.rewritten},
		{Name: "pass", Number: &c.pass, Least: 1}, {Name: "resumed", Flag: &c.resumed},
		{Name: "snapshot", Number: &c.snapshot, Least: 1}, {Name: "owed", Number: &c.unmarked, Least: 1}}
}

func (p *asking) items() []load.Item {
	return append(p.course.items(), load.Item{Name: "url", Text: &p.url}, load.Item{Name: "again", Flag: &p.ended})
}

func (p *loading) items() []load.Item {
	return append(p.course.items(), load.Item{Name: "url", Text: &p.url}, load.Item{Name: "inside",
		Flag: &p.inside},
		load.Item{Name: "applied", Flag: &p.applied}, load.Item{Name: "seen", Number: &p.seen, Least: 1},
		load.Item{Name: "counted", Flag: &p.counted}, load.Item{Name: "doubt", Text: &p.doubt},
		load.Item{Name: "followed", Trail: &p.followed})
}

func (p *rescanning) items() []load.Item {
	return append(p.course.items(), load.Item{Name: "url", Text: &p.link}, load.Item{Name: "beside",
		Flag: &p.onDemand},
		load.Item{Name: "inside", Flag: &p.begun})
}

func (p *changing) items() []load.Item {
	return append(p.course.items(), load.Item{Name: "url", Text: &p.url}, load.Item{Name: "link", Text: &p.link},
		load.Item{Name: "inside", Flag: &p.inside}, load.Item{Name: "seen", Number: &p.seen, Least: 1},
		load.Item{Name: "again", Flag: &p.again}, load.Item{Name: "relinked", Flag: &p.relinked},
		load.Item{Name: "untold", Flag: &p.unnotified},
		load.Item{Name: "followed", Trail: &p.followed})
}

func (p *resting) items() []load.Item {
	rests := true
	return append(p.course.items(), load.Item{Name: "url", Text: &p.link}, load.Item{Name: "rest", Flag: &rests},
		load.Item{Name: "at", Number: &p.at, Least: 1})
}

func (p *listing) items() []load.Item {
	return append(p.course.items(), load.Item{Name: "why", Text: &p.why}, load.Item{Name: "url", Text: &p.url},
		load.Item{Name: "link", Text: &p.link}, load.Item{Name: "token", Text: &p.token},
		load.Item{Name: "created", Text: &p.created}, load.Item{Name: "first", Flag: &p.first},
		load.Item{Name: "followed", Trail: &p.followed})
}

func (p *plainLoad) items() []load.Item {
	return append(p.course.items(), load.Item{Name: "url", Text: &p.url}, load.Item{Name: "kept", Text: &p.kept},
		load.Item{Name: "token", Text: &p.token})
}

// walkField begins the names of the fields that say where a rescan stands.
const walkField = "second."

// order is that of an offset's fields.
var order = strings.Fields("phase url rest at began inside link seen applied token why created first rewritten again " +
	"relinked resumed untold counted doubt pass owed snapshot beside followed")

// fields writes a phase.
func fields(p phase) []wit.OffsetEntry {
	items := p.items()
	slices.SortFunc(items, func(a, b load.Item) int {
		return slices.Index(order, a.Name) - slices.Index(order, b.Name)
	})
	fields := append([]wit.OffsetEntry{wit.StringEntry("phase", p.name())}, load.Write(items)...)
	if p, ok := p.(*rescanning); ok {
		fields = append(fields, prefixed(walkField, p.walk)...)
	}
	return fields
}

func prefixed(prefix string, fields []wit.OffsetEntry) (all []wit.OffsetEntry) {
	for _, field := range fields {
		all = append(all, wit.OffsetEntry{Name: prefix + field.Name, Value: field.Value})
	}
	return all
}

func without(prefix string, fields []wit.OffsetEntry) (all []wit.OffsetEntry) {
	for _, field := range fields {
		if name, ok := strings.CutPrefix(field.Name, prefix); ok {
			all = append(all, wit.OffsetEntry{Name: name, Value: field.Value})
		}
	}
	return all
}

// read reads a stored offset of delta mode; nil if it is empty.
func read(offset []wit.OffsetEntry) (phase, error) {
	if len(offset) == 0 {
		return nil, nil
	}
	var p phase
	switch name, rests := load.Text(offset, "phase"), load.Flag(offset, "rest"); {
	case name == "" && strings.Contains(strings.ToLower(load.Text(offset, "url")), "deltatoken"):
		p = &resting{} // of another connector, taken over
	case name == "changes" && rests:
		p = &resting{}
	case name == "load" && load.Flag(offset, "plain"), name == "changes" && load.Flag(offset, "counted"):
		p = &plainLoad{}
	case name == "changes":
		p = &changing{}
	case name == "load":
		p = &loading{}
	case name == "second":
		p = &rescanning{}
	case name == "links":
		p = &listing{}
	case name == stepAsk || name == stepEnd || name == stepOpen || name == stepWait:
		p = &asking{step: name}
	default:
		return nil, &wit.Error{Kind: wit.ErrorIncompatible,
			Message: "offset: expected a phase of delta mode, found \"" + name + "\""}
	}
	if err := load.ReadItems(offset, p.items()); err != nil {
		return nil, err
	}
	if p.target() == "" {
		return nil, &wit.Error{Kind: wit.ErrorIncompatible,
			Message: "offset: expected field url with a path, found none"}
	}
	if p, ok := p.(*rescanning); ok {
		return p, p.read(offset)
	}
	return p, nil
}

// read reads where the walk stands.
func (p *rescanning) read(offset []wit.OffsetEntry) error {
	p.onDemand = p.onDemand || load.Text(offset, "kept") != "" // as versions before have it
	if load.Text(offset, "came") != "" {
		// A version before, which read keys first and left out the rows of those that came, has no walk but the first
		// page's here.
		p.snapshot, p.begun = max(p.began, p.snapshot+1), false
	}
	p.walk = without(walkField, offset)
	at, err := load.Read(p.walk)
	if at == nil && err == nil {
		err = &wit.Error{Kind: wit.ErrorIncompatible,
			Message: "offset: expected a field " + walkField + "url, found none"}
	}
	return err
}

// Check reports whether an offset can be gone on from.
func Check(offset []wit.OffsetEntry) error {
	_, err := read(offset)
	return err
}

// Tracked reports whether an offset is one of delta mode.
func Tracked(offset []wit.OffsetEntry) bool {
	_, ok := wit.Lookup(offset, "phase")
	return ok
}
