package write

import (
	"slices"
	"strconv"
	"strings"

	"github.com/culvert-project/culvert/sdk/go/pack"
	"github.com/culvert-project/culvert/wit"
)

// operation is what a request does. Those of an upsert go on with the other one.
type operation int

const (
	insert operation = iota
	remove
	// confirm reads an entity that was to be deleted.
	confirm
	// put, merge and patch, and those of upserts, stand in the same order: [encoding.update] counts on it.
	put
	merge
	patch
	upsertPut
	upsertMerge
	upsertPatch
	upsertInsert
	// readTag reads an entity for its ETag.
	readTag
	readTagOfUpsert
	readTagOfRemoval
	// look and find read whether an insert was applied, probe whether the service is there.
	look
	lookOfUpsert
	find
	probe
	// readSet asks for an entity of the set, whichever, since the address of the row's is refused.
	readSet
)

// methods of operations; the others read.
var methods = map[operation]string{insert: "POST", upsertInsert: "POST", remove: "DELETE", put: "PUT", upsertPut: "PUT",
	merge: "MERGE", upsertMerge: "MERGE", patch: "PATCH", upsertPatch: "PATCH"}

// inserts tells whether an operation makes an entity.
func (o operation) inserts() bool { return o == insert || o == upsertInsert }

// upserts tells of an update whether an insert follows where the entity isn't there.
func (o operation) upserts() bool { return o == upsertPut || o == upsertMerge || o == upsertPatch }

// reads tells of an operation that can share a batch whether it is a read.
func (o operation) reads() bool { return o == readTag || o == readTagOfUpsert || o == readTagOfRemoval }

// target is what is sent for a row: encode makes it, and settle reads it from the delivery's memo.
type target struct {
	operation
	to *entitySet
	// predicate is the entity's key, "" where the row doesn't say one by which the entity is found.
	predicate string
	hint      hint
	// nested is how many updates of entities nested in the row go with it.
	nested int
	// compared is the body that a check compares with what it finds.
	compared string
	// batched: it goes in a batch. The answer to it is the service's own then, and faults of another kind than of the
	// row are the task's.
	batched bool
}

// path of the request, without its query.
func (t *target) path() string {
	switch {
	case t.operation == probe:
		return t.to.service + "/"
	case t.inserts(), t.operation == find, t.operation == readSet:
		return t.to.path
	}
	return t.to.path + t.predicate
}

// what names the request in messages.
func (t *target) what() string {
	method := methods[t.operation]
	if method == "" {
		method = "GET"
	}
	if t.nested > 0 {
		return method + " " + t.path() + " with the entities nested in it"
	}
	return method + " " + t.path()
}

// like tells whether nothing but the keys of two targets differ.
func (t *target) like(o *target) bool {
	return t.operation == o.operation && t.to == o.to && t.hint == o.hint && t.nested+o.nested == 0 &&
		t.compared+o.compared == ""
}

// A memo is the head of a delivery and its targets. Each target begins with a number, which says what of it stands in
// the memo.
const (
	// memoLike: it is like the one before, and only its key stands there.
	memoLike = 1 << iota
	// memoPart: it begins a part of the batch.
	memoPart
	// memoNested and memoCompared: it has these.
	memoNested
	memoCompared
)

// appendHead writes the head of a memo: the service's place among all, how long the batch is (0: the request is none),
// and how many targets follow.
func appendHead(memo []byte, at, size, count int) []byte {
	return pack.Number(pack.Number(pack.Number(memo, at), size), count)
}

// append writes a target after another one, nil for none. part: it begins a part of the batch.
func (t *target) append(memo []byte, before *target, part bool) []byte {
	says := 0
	if part {
		says = memoPart
	}
	if before != nil && t.like(before) {
		return pack.Text(pack.Number(memo, says|memoLike), t.predicate)
	}
	if t.nested > 0 {
		says |= memoNested
	}
	if t.compared != "" {
		says |= memoCompared
	}
	memo = pack.Number(pack.Number(pack.Number(memo, says), int(t.operation)), t.to.place)
	memo = pack.Text(pack.Text(memo, t.hint.text()), t.predicate)
	if t.nested > 0 {
		memo = pack.Number(memo, t.nested)
	}
	if t.compared != "" {
		memo = pack.Text(memo, t.compared)
	}
	return memo
}

// memo reads the targets of a delivery one by one.
type memo struct {
	at, size, count int
	s               *state
	r               pack.Reader
	// target is the last one; part: it begins a part of the batch; like: it is like the one before.
	target
	part, like bool
}

// readMemo reads the head. ok is false for a memo of another version of this plugin.
func readMemo(s *state, text []byte) (m memo, ok bool) {
	r := pack.Open(text)
	m = memo{at: r.Number(), size: r.Number(), s: s}
	m.count, m.r = r.Count(), *r
	return m, !r.Bad && m.at >= 0 && m.at < len(s.services) && m.count > 0 && (m.size > 0 || m.count == 1)
}

// next reads a target. ok is false where that cannot be.
func (m *memo) next() (ok bool) {
	says := m.r.Number()
	m.part, m.like = says&memoPart != 0, says&memoLike != 0
	if m.like {
		m.predicate = m.r.Text()
		return !m.r.Bad && m.to != nil
	}
	op, place := m.r.Number(), m.r.Number()
	m.target = target{operation: operation(op), batched: m.size > 0}
	if m.r.Bad || place < 0 || place >= len(m.s.sets) {
		return false
	}
	m.to = &m.s.sets[place]
	m.hint, m.predicate = readHint(m.r.Text()), m.r.Text()
	if says&memoNested != 0 {
		m.nested = m.r.Number()
	}
	if says&memoCompared != 0 {
		m.compared = m.r.Text()
	}
	return !m.r.Bad && m.nested >= 0
}

// all reads the targets that are left, and how many of them each part of the batch has.
func (m *memo) all() (rows []target, parts []int, ok bool) {
	rows = make([]target, 0, m.count)
	for range m.count {
		if !m.next() {
			return nil, nil, false
		}
		if m.part || len(parts) == 0 {
			parts = append(parts, 0)
		}
		parts[len(parts)-1]++
		rows = append(rows, m.target)
	}
	return rows, parts, m.r.Done()
}

// Steps of a row: what its next request is for, where that is not what it begins with.
const (
	// stepConfirm asks for a read of an entity whose DELETE was answered 412: is it gone?
	stepConfirm = "confirm"
	stepInsert  = "insert"
	stepUpdate  = "update"
)

// hint is how a row is to be encoded once more, as settle has said it. The host keeps it as a text.
type hint struct {
	// step is one of the steps, or the host's `uncertain`.
	step string
	// alone: in a changeset of its own; single: in no batch; most: with so many others in a batch at most, 0 for any
	// number.
	alone, single bool
	most          int
	// stops is how many batches ended at an operation before the row's.
	stops int
	// address: the entity's address is refused, and it is asked whether the service answers for the set; addressed: it
	// does.
	address, addressed bool
	// bare: without If-Match in spite of etag = any, since the service takes none, or may take none.
	bare bool
	// gone is the status by which an update has said that the entity isn't there, after an insert was refused because
	// it is; 0: none has.
	gone int
	// tagged: the ETag was read, "" where the entity has none.
	tagged bool
	tag    string
}

// wordTag begins the word of an ETag, which is the last one because it may hold blanks.
const wordTag = "etag="

// hintWord is a field of a hint: a flag or a number.
type hintWord struct {
	name   string
	flag   func(*hint) *bool
	number func(*hint) *int
}

// hintWords are the names of a hint's fields, but its step and ETag, in its text. Numbers stand after an equals sign.
var hintWords = []hintWord{
	{"alone", func(h *hint) *bool { return &h.alone }, nil},
	{"single", func(h *hint) *bool { return &h.single }, nil},
	{"most", nil, func(h *hint) *int { return &h.most }},
	{"stops", nil, func(h *hint) *int { return &h.stops }},
	{"address", func(h *hint) *bool { return &h.address }, nil},
	{"addressed", func(h *hint) *bool { return &h.addressed }, nil},
	{"bare", func(h *hint) *bool { return &h.bare }, nil},
	{"gone", nil, func(h *hint) *int { return &h.gone }},
}

// text is what the host keeps.
func (h hint) text() string {
	if h == (hint{}) {
		return ""
	}
	var words []string
	for _, w := range hintWords {
		switch {
		case w.flag != nil && *w.flag(&h):
			words = append(words, w.name)
		case w.number != nil && *w.number(&h) > 0:
			words = append(words, w.name+"="+strconv.Itoa(*w.number(&h)))
		}
	}
	if h.step != "" {
		words = append(words, h.step)
	}
	if h.tagged {
		words = append(words, wordTag+h.tag)
	}
	return strings.Join(words, " ")
}

func readHint(text string) (h hint) {
	for text != "" {
		if tag, ok := strings.CutPrefix(text, wordTag); ok {
			h.tagged, h.tag = true, tag
			return h
		}
		var word string
		word, text, _ = strings.Cut(text, " ")
		name, number, _ := strings.Cut(word, "=")
		at := slices.IndexFunc(hintWords, func(w hintWord) bool { return w.name == name })
		switch {
		case at < 0:
			h.step = word
		case hintWords[at].flag != nil:
			*hintWords[at].flag(&h) = true
		default:
			*hintWords[at].number(&h), _ = strconv.Atoi(number)
		}
	}
	return h
}

// to is the hint for another step, without what the one before has read.
func (h hint) to(step string) hint {
	h.step, h.tagged, h.tag = step, false, ""
	return h
}

func (h hint) uncertain() bool { return h.step == wit.HintUncertain }
