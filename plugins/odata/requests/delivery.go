package requests

import (
	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/sdk/go/pack"
)

// Delivery is a delivery that was sent.
type Delivery struct {
	ServiceIndex, BatchBytes int
	// Parts holds the number of targets in each part of the batch. Nested updates follow the target of their row.
	Targets []Target
	Parts   []int
}

// ReadDelivery decodes the state of a delivery. ok is false if another version of this plugin wrote it.
func ReadDelivery(s *capabilities.State, text []byte) (d *Delivery, ok bool) {
	r := pack.Open(text)
	d = &Delivery{ServiceIndex: r.Int(), BatchBytes: r.Int()}
	m := stateReader{count: r.Count(), batched: d.BatchBytes > 0, state: s, r: r}
	if r.Bad || d.ServiceIndex < 0 || d.ServiceIndex >= len(s.Services) || m.count <= 0 || d.BatchBytes <= 0 &&
		m.count != 1 {
		return nil, false
	}
	d.Targets = make([]Target, 0, m.count)
	for range m.count {
		if !m.next() {
			return nil, false
		}
		if m.newPart || len(d.Parts) == 0 {
			d.Parts = append(d.Parts, 0)
		}
		d.Parts[len(d.Parts)-1]++
		d.Targets = append(d.Targets, m.Target)
	}
	return d, r.Done()
}

type stateReader struct {
	count   int
	batched bool
	state   *capabilities.State
	r       *pack.Reader
	Target
	newPart, sameAsPrevious bool
}

func (m *stateReader) next() (ok bool) {
	flags := m.r.Int()
	m.newPart, m.sameAsPrevious = flags&flagNewPart != 0, flags&flagSameAsPrevious != 0
	if m.sameAsPrevious {
		m.Predicate = m.r.String()
		return !m.r.Bad && m.Set != nil
	}
	op, place := m.r.Int(), m.r.Int()
	m.Target = Target{Operation: Operation(op), InBatch: m.batched}
	if m.r.Bad || place < 0 || place >= len(m.state.Sets) {
		return false
	}
	m.Set = &m.state.Sets[place]
	m.Hint, m.Predicate = parseHint(m.r.String()), m.r.String()
	if flags&flagNested != 0 {
		m.NestedUpdates = m.r.Int()
	}
	if flags&flagCompare != 0 {
		m.Compare = m.r.String()
	}
	return !m.r.Bad && m.NestedUpdates >= 0
}

// AppendStateHead starts the state of a delivery. size is the length of the batch, 0 for a single request.
func AppendStateHead(dst []byte, service, size, count int) []byte {
	return pack.Int(pack.Int(pack.Int(dst, service), size), count)
}

// AppendState appends a target. before is the previous target, nil for the first one.
func (t *Target) AppendState(dst []byte, previous *Target, part bool) []byte {
	flags := 0
	if part {
		flags = flagNewPart
	}
	if previous != nil && t.sameExceptKey(previous) {
		return pack.String(pack.Int(dst, flags|flagSameAsPrevious), t.Predicate)
	}
	if t.NestedUpdates > 0 {
		flags |= flagNested
	}
	if t.Compare != "" {
		flags |= flagCompare
	}
	dst = pack.Int(pack.Int(pack.Int(dst, flags), int(t.Operation)), t.Set.Index)
	dst = pack.String(pack.String(dst, t.Hint.Text()), t.Predicate)
	if t.NestedUpdates > 0 {
		dst = pack.Int(dst, t.NestedUpdates)
	}
	if t.Compare != "" {
		dst = pack.String(dst, t.Compare)
	}
	return dst
}

// The state of a delivery is a head followed by targets. Each target starts with a set of these flags.
const (
	flagSameAsPrevious = 1 << iota
	flagNewPart
	flagNested
	flagCompare
)
