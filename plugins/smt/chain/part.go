package chain

import (
	"slices"

	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/datum"
)

// fieldSource tells where a field's bytes come from.
type fieldSource uint8

const (
	input fieldSource = iota
	constant
	attribute
	// chosen goes by the first byte of a member of the input, its branch, or of an entry's value, its tag.
	chosen
	// byEdits is what edits make, of which the program has a list.
	byEdits
	// headerCount is the number of headers, `first` more than the row has, and those. Only the kernel writes it.
	headerCount
	// keyEnd and headersEnd write nothing: what stands before them is the key, and the headers.
	keyEnd
	headersEnd
)

// part of a result.
type part struct {
	from fieldSource
	// first and last: the members of the input to copy, in one piece. Of what edits make, first is the number in the
	// list.
	first, last int
	// after is how many bytes at the beginning of the first are left out: the key, in a map.
	after int
	// bytes: a constant, or what replaces a null of the member `first`, whose branch is then null.
	bytes []byte
	null  byte
	// choice is what is written instead of the member `first`, by its first byte.
	choice   [][]byte
	what     what
	optional bool
	// sized: the size stands in front.
	sized bool
}

// reads is how many of so many members must be read to find the part.
func (x *part) reads(members int, edited []edited) int {
	switch {
	case x.from == byEdits:
		from := edited[x.first].from
		if from.from == input && from.bytes == nil {
			return from.last + 1
		}
		return from.reads(members, nil)
	case x.from == chosen:
		return x.first + 1
	case x.from != input:
		return 0
	case x.last+1 < members || x.bytes != nil || x.sized:
		return x.last + 1
	}
	return x.first // to the end of the value
}

// whole tells whether the part is the input's members, all and in order.
func (x *part) whole(members int) bool {
	return members > 0 && x.from == input && x.bytes == nil && x.first == 0 && x.last == members-1
}

// reading tells whether the part comes of the input's members.
func (x part) reading() bool { return x.from == input || x.from == chosen }

// copied is what a part copies.
func (x *part) copied(ends []uint64, in []byte) []byte {
	b := in[int(ends[x.first])+x.after : ends[x.last+1]]
	if x.bytes != nil && b[0] == x.null {
		return x.bytes
	}
	return b
}

// attribute writes what the row has to say.
func (x *part) attribute(dst []byte, row *wit.Row) []byte {
	n := row.Offset
	switch x.what {
	case thePartition:
		n = int64(row.Partition)
	case theTimestamp:
		n = row.Timestamp
	}
	if x.optional {
		if n < 0 {
			return append(dst, 0)
		}
		dst = append(dst, 2)
	}
	return datum.AppendNumber(dst, n)
}

// output is what parts write, and the schema of it; of headers, count is how many they are.
type output struct {
	parts  []part
	schema uint32
	count  int
}

// join adds a part, making it one with the part before where it can.
func (o *output) join(x part) {
	var last *part
	if n := len(o.parts); n > 0 {
		last = &o.parts[n-1]
	}
	switch {
	case last != nil && x.from == input && last.from == input && x.bytes == nil && last.bytes == nil && !last.sized &&
		last.last+1 == x.first && x.after == 0:
		last.last = x.last
		return
	case last != nil && x.from == constant && last.from == constant:
		last.bytes = slices.Concat(last.bytes, x.bytes)
		return
	}
	o.parts = append(o.parts, x)
}

// edited is what the steps of a program make of one member or entry of each row, by edits: of the bytes of a part, its
// branch or tag included.
type edited struct {
	from part
	// tag is what stands in front of an attribute in a map; of a member or entry of the input it is the tag that was
	// met.
	tag   []byte
	edits []edit
}

// append appends what becomes of the member or entry.
func (x *edited) append(dst []byte, ends []uint64, in []byte, row *wit.Row) (_ []byte, f *failure) {
	switch x.from.from {
	case input:
		in = x.from.copied(ends, in)
	case chosen:
		in = x.from.choice[in[int(ends[x.from.first])+x.from.after]]
	default:
		in = x.from.attribute(append([]byte(nil), x.tag...), row)
	}
	for _, edit := range x.edits[:len(x.edits)-1] {
		if in, f = edit.make(nil, in); f != nil {
			return dst, f
		}
	}
	return x.edits[len(x.edits)-1].make(dst, in)
}

// conversion is what the kernel does instead, the zero one: nothing.
func (x *edited) conversion() conversion {
	last := len(x.edits) - 1
	if last > 0 || x.from.from != input || x.from.bytes != nil || x.edits[last].kernel == nil {
		return conversion{}
	}
	tag := byte(0)
	if len(x.tag) > 0 {
		tag = x.tag[0]
	}
	return x.edits[last].kernel(tag)
}

// what an inserted field holds, in the order in which InsertField adds them.
type what uint8

const (
	theTopic what = iota
	thePartition
	theOffset
	theTimestamp
	theStatic
)

const insertPurpose = "field insertion"

func noSinkRecord(stage int) *failure {
	return &failure{stage, dataException, "Only SinkRecord supported for [" + insertPurpose +
		"], found: org.apache.kafka.connect.source.SourceRecord"}
}

// check is something that must be there in a row for a field that was inserted.
type check struct {
	what  what
	stage int
}

// failed is the check that a row does not pass whose stage comes first, nil if it passes all. An offset that is not
// there fails in Kafka's transform, and before the rest: a null in a required field is found by its converter.
func failed(checks []check, row *wit.Row) (first *failure) {
	for i := range checks {
		c := &checks[i]
		if first != nil && c.stage > first.stage {
			break
		}
		switch {
		case c.what == theOffset && row.Offset < 0:
			return noSinkRecord(c.stage)
		case c.what == thePartition && row.Partition < 0, c.what == theTimestamp && row.Timestamp < 0:
			first = requiredNull(c.stage)
		}
	}
	return first
}
