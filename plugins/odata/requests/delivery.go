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
func ReadDelivery(state *capabilities.State, text []byte) (delivery *Delivery, ok bool) {
	reader := pack.NewReader(text)
	delivery = &Delivery{ServiceIndex: reader.Int(), BatchBytes: reader.Int()}
	targets := stateReader{count: reader.Count(), batched: delivery.BatchBytes > 0, state: state, r: reader}
	if reader.Failed || delivery.ServiceIndex < 0 || delivery.ServiceIndex >= len(state.Services) ||
		targets.count <= 0 || delivery.BatchBytes <= 0 &&
		targets.count != 1 {
		return nil, false
	}
	delivery.Targets = make([]Target, 0, targets.count)
	for range targets.count {
		if !targets.next() {
			return nil, false
		}
		if targets.newPart || len(delivery.Parts) == 0 {
			delivery.Parts = append(delivery.Parts, 0)
		}
		delivery.Parts[len(delivery.Parts)-1]++
		delivery.Targets = append(delivery.Targets, targets.Target)
	}
	return delivery, reader.Done()
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
		return !m.r.Failed && m.Set != nil
	}
	op, place := m.r.Int(), m.r.Int()
	m.Target = Target{Operation: Operation(op), InBatch: m.batched}
	if m.r.Failed || place < 0 || place >= len(m.state.Sets) {
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
	return !m.r.Failed && m.NestedUpdates >= 0
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
