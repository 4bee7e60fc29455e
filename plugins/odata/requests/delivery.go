package requests

import (
	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/sdk/go/pack"
)

// Delivery is a delivery that was sent, as its state describes it.
type Delivery struct {
	ServiceIndex int
	BatchBytes   int // size of the batch, 0 for a single request
	// BatchSupport is what was known of the service's $batch when the delivery was encoded: its response proves nothing
	// about batches that were answered later.
	BatchSupport capabilities.BatchSupport
	BatchLimit   capabilities.BatchLimit // likewise
	InJSON       bool                    // the batch is in JSON
	Targets      []Target
	Parts        []int // number of targets in each part of the batch. Nested updates follow the target of their row.
}

// ReadDelivery decodes the state of a delivery. ok is false if another version of this plugin wrote it.
func ReadDelivery(state *capabilities.State, text []byte) (delivery *Delivery, ok bool) {
	reader := pack.NewReader(text)
	delivery = &Delivery{ServiceIndex: reader.Int(), BatchBytes: reader.Int()}
	count := reader.Count()
	support := reader.Int()
	delivery.InJSON = support&batchInJSON != 0
	delivery.BatchSupport = capabilities.BatchSupport(support &^ batchInJSON)
	delivery.BatchLimit = capabilities.BatchLimit(reader.Int())
	validService := delivery.ServiceIndex >= 0 && delivery.ServiceIndex < len(state.Services)
	validCount := count == 1 || (count > 1 && delivery.BatchBytes > 0)
	if reader.Failed || !validService || !validCount {
		return nil, false
	}
	targets := targetReader{state: state, reader: reader, inBatch: delivery.BatchBytes > 0}
	delivery.Targets = make([]Target, 0, count)
	delivery.Parts = make([]int, 0, count)
	for range count {
		if !targets.readTarget() {
			return nil, false
		}
		if targets.startsPart || len(delivery.Parts) == 0 {
			delivery.Parts = append(delivery.Parts, 0)
		}
		delivery.Parts[len(delivery.Parts)-1]++
		delivery.Targets = append(delivery.Targets, targets.Target)
	}
	return delivery, reader.Done()
}

// targetReader reads one target after another. The embedded target is valid until the next call of readTarget.
type targetReader struct {
	state   *capabilities.State
	reader  *pack.Reader
	inBatch bool
	Target
	startsPart bool // the target starts a part of the batch
}

// readTarget reads a target. A target that is the same as the previous one has only its own predicate.
func (t *targetReader) readTarget() (ok bool) {
	flags := t.reader.Int()
	t.startsPart = flags&flagNewPart != 0
	if flags&flagSameAsPrevious != 0 {
		t.Predicate = t.reader.String()
		return !t.reader.Failed && t.Set != nil
	}
	operation := t.reader.Int()
	set := t.reader.Int()
	t.Target = Target{Operation: Operation(operation), Selects: flags&flagSelects != 0, InBatch: t.inBatch}
	if t.reader.Failed || set < 0 || set >= len(t.state.Sets) {
		return false
	}
	t.Set = &t.state.Sets[set]
	t.Hint = parseHint(t.reader.String())
	t.Predicate = t.reader.String()
	if flags&flagNested != 0 {
		t.NestedUpdates = t.reader.Int()
	}
	if flags&flagCompare != 0 {
		t.Compare = t.reader.String()
	}
	return !t.reader.Failed && t.NestedUpdates >= 0
}

// AppendStateHead starts the state of a delivery with count targets. batchBytes is 0 for a single request. known has
// what is known of the service.
func AppendStateHead(dst []byte, service, batchBytes, count int, known capabilities.Service, inJSON bool) []byte {
	dst = pack.Int(pack.Int(pack.Int(dst, service), batchBytes), count)
	support := int(known.BatchSupport)
	if inJSON {
		support |= batchInJSON
	}
	return pack.Int(pack.Int(dst, support), int(known.BatchLimit))
}

const batchInJSON = 1 << 7 // is added to the batch support

// partStart specifies whether a target starts a part of its batch.
type partStart bool

const newPart partStart = true

// AppendState appends a target. previous is nil for the first one.
func (t *Target) AppendState(dst []byte, previous *Target, start partStart) []byte {
	flags := 0
	if start == newPart {
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
	if t.Selects {
		flags |= flagSelects
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
	flagSelects
)
