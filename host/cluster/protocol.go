package cluster

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"math/bits"
	"slices"
	"time"
)

// What members of a group and their leader hand to each other begins in Kafka Connect's layout of version 2
// (IncrementalCooperativeConnectProtocol), so that tools which decode Connect's groups find URL, config offset and
// leader. Java's lists are empty. A section of ours follows, which Java ignores: a byte that says its format, numbers
// as varints, texts with their lengths, connectors by their hashes and units as bitmaps, since metadata and assignments
// of all members are one record of __consumer_offsets. Later versions add fields at the end; who does not know them
// ignores them.
const (
	javaVersion   = 2
	sectionFormat = 0xC1

	// maxTask is how many tasks a connector may have in a group: ten times what a source may be shared out among. It
	// bounds a bitmap to 12.5 KB.
	maxTask = 100_000
	// maxText is the length of a text of ours in bytes: names, versions and digests, which get into logs.
	maxText = 1_000
)

// Key stands for a name (of a connector, of an origin) in few bytes.
type Key uint64

// KeyOf is the key of a name: the first 8 bytes of its SHA-256.
func KeyOf(name string) Key {
	sum := sha256.Sum256([]byte(name))
	return Key(binary.BigEndian.Uint64(sum[:]))
}

// Bits is a set of units of a connector: unit 0 is the connector itself (Kafka Connect's task -1), unit n+1 is task n.
// Unit u is bit u%8 of byte u/8. The zero value is the empty set.
type Bits []byte

// Has says if a unit is in the set.
func (b Bits) Has(unit int) bool { return unit/8 < len(b) && b[unit/8]>>(unit%8)&1 == 1 }

// Tasks says if a task is in the set.
func (b Bits) Tasks() bool {
	for unit := range b.All() {
		if unit > 0 {
			return true
		}
	}
	return false
}

// All are the units of the set, in rising order.
func (b Bits) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, rest := range b {
			for ; rest != 0; rest &= rest - 1 {
				if !yield(i*8 + bits.TrailingZeros8(rest)) {
					return
				}
			}
		}
	}
}

// Add puts a unit into the set.
func (b *Bits) Add(unit int) {
	for unit/8 >= len(*b) {
		*b = append(*b, 0)
	}
	(*b)[unit/8] |= 1 << (unit % 8)
}

// Held is what a member has of a connector in one version.
type Held struct {
	Connector Key
	Version   int64 // offset of the connector's commit in the config topic; 0: it has none yet, so no tasks
	Units     Bits
}

func compareHeld(a, b Held) int {
	return cmp.Or(cmp.Compare(a.Connector, b.Connector), cmp.Compare(a.Version, b.Version))
}

// Share is what a member may ask of an origin.
type Share struct {
	Origin         Key
	Requests       int32 // at a time; at least 1, or the member could not do anything
	PerSecondMilli int32 // requests in 1,000 s; 0: as many as it likes
}

// PluginOffer is a version of a plugin that a member has, with the first digits of its file's hash.
type PluginOffer struct{ Name, Version, Hash string }

// Metadata is what a member says when it joins the group.
type Metadata struct {
	URL    string // where the other members reach its REST API
	Offset int64  // of the last record of the config topic that it read, plus 1
	// Holds is everything that the member runs, starts, or is stopping still. A unit counts from the moment when the
	// assignment with it arrived: between joining and the next assignment a member starts nothing. In any order; a
	// connector may be there in several versions.
	Holds      []Held
	Shares     []Share // that it keeps to now; one that an assignment names no more lasts as long as its tasks
	Generation int32   // of the group, in which it was given what it holds; 0 where it was given nothing
	Leaving    bool    // it is about to leave: nothing is to be given to it
	Name       string  // which is the same after a restart: the instance, or the URL
	Plugins    []PluginOffer
	Digest     string // of its folder of connectors, "" without one
	Classes    []Key  // of what its plugins offer: connectors, transforms and predicates, by their names
	// Proven are the hashes of versions of plugins that were on trial and went well, Left those that did not open, or
	// broke. Members of earlier versions say neither.
	Proven, Left []string
}

// Assignment is what the leader says to a member.
type Assignment struct {
	Leader, LeaderURL string        // the leader's member id, and where its REST API is reached
	Offset            int64         // of the config topic: what the plan was made with. A member reads so far first
	Delay             time.Duration // until the leader plans again because of lost units, in whole milliseconds
	// Again asks a member that has to let go of units to join again when it has, as others wait for them.
	Again  bool
	Target []Held // all that the member is to run: what it holds and is not named here is to be stopped
	Shares []Share
	Alone  bool // all other members are about to leave: nobody would take over what this one lets go of
}

// Encode is the bytes of a member's metadata. It fails for a text or a number that DecodeMetadata refuses.
func (m Metadata) Encode() ([]byte, error) {
	var w wire
	m.layout(&w)
	return w.done("metadata of a member")
}

// DecodeMetadata reads metadata of a member. The result shares nothing with the bytes.
func DecodeMetadata(b []byte) (m Metadata, err error) {
	w := wire{b: b, reads: true}
	m.layout(&w)
	_, err = w.done("metadata of a member")
	return m, err
}

func (m *Metadata) layout(w *wire) {
	w.constant("version 2 of Kafka Connect's protocol", 2, javaVersion)
	m.URL = w.javaText(m.URL)
	m.Offset = int64(w.fixed(8, uint64(m.Offset), math.MaxInt64))
	w.constant("no assignment of Kafka Connect's (-1)", 4, math.MaxUint32)
	w.constant("the section of Culvert", 1, sectionFormat)
	m.Leaving = w.flag(m.Leaving)
	m.Generation = int32(w.number(uint64(m.Generation), math.MaxInt32))
	m.Name = w.text(m.Name)
	m.Digest = w.text(m.Digest)
	m.Holds = w.held(m.Holds)
	m.Shares = w.shares(m.Shares)
	m.Plugins = list(w, m.Plugins, 3, func(p PluginOffer) PluginOffer {
		return PluginOffer{w.text(p.Name), w.text(p.Version), w.text(p.Hash)}
	})
	m.Classes = list(w, m.Classes, 8, func(k Key) Key { return Key(w.fixed(8, uint64(k), math.MaxUint64)) })
	if w.reads && w.at == len(w.b) {
		return
	}
	m.Proven = list(w, m.Proven, 1, w.text)
	m.Left = list(w, m.Left, 1, w.text)
}

// Encode is the bytes of an assignment. It fails for a text or a number that DecodeAssignment refuses.
func (a Assignment) Encode() ([]byte, error) {
	var w wire
	a.layout(&w)
	return w.done("assignment")
}

// DecodeAssignment reads an assignment. The result shares nothing with the bytes.
func DecodeAssignment(b []byte) (a Assignment, err error) {
	w := wire{b: b, reads: true}
	a.layout(&w)
	_, err = w.done("assignment")
	return a, err
}

func (a *Assignment) layout(w *wire) {
	w.constant("version 2 of Kafka Connect's protocol", 2, javaVersion)
	w.constant("no error (0)", 2, 0)
	a.Leader = w.javaText(a.Leader)
	a.LeaderURL = w.javaText(a.LeaderURL)
	a.Offset = int64(w.fixed(8, uint64(a.Offset), math.MaxInt64))
	w.constant("an empty list of Kafka Connect's assigned connectors (0)", 4, 0)
	w.constant("an empty list of Kafka Connect's revoked connectors (0)", 4, 0)
	a.Delay = time.Duration(w.fixed(4, uint64(a.Delay.Milliseconds()), math.MaxInt32)) * time.Millisecond
	w.constant("the section of Culvert", 1, sectionFormat)
	a.Again = w.flag(a.Again)
	a.Target = w.held(a.Target)
	a.Shares = w.shares(a.Shares)
	a.Alone = w.flag(a.Alone)
}

// wire reads values from bytes, or appends those that it is handed; either way it returns them. The first error stays,
// and what is read after it is zero. Reading allocates nothing that the remaining bytes could not fill.
type wire struct {
	b     []byte
	at    int // where it reads
	reads bool
	err   error
}

func (w *wire) fail(at int, format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
		if w.reads {
			w.err = fmt.Errorf("%w at byte %d of %d", w.err, at, len(w.b))
		}
	}
}

func (w *wire) done(what string) ([]byte, error) {
	if w.err != nil {
		return nil, fmt.Errorf("%s: %w", what, w.err)
	}
	return w.b, nil
}

// bytes is so many bytes.
func (w *wire) bytes(size int, b []byte) []byte {
	switch left := len(w.b) - w.at; {
	case w.err != nil:
		return nil
	case !w.reads:
		w.b = append(w.b, b...)
		return b
	case size > left:
		w.fail(w.at, "expected %d more bytes, found %d", size, left)
		return nil
	}
	w.at += size
	return w.b[w.at-size : w.at]
}

// fixed is a number of so many bytes, big-endian.
func (w *wire) fixed(size int, n, most uint64) uint64 {
	at := w.at
	b := w.bytes(size, binary.BigEndian.AppendUint64(nil, n)[8-size:])
	if w.reads {
		n = 0
		for _, c := range b {
			n = n<<8 | uint64(c)
		}
	}
	return w.upTo(at, n, most)
}

func (w *wire) upTo(at int, n, most uint64) uint64 {
	if n > most {
		w.fail(at, "expected a number of 0 to %d, found %d", most, int64(n))
		return 0
	}
	return n
}

// constant is a number of so many bytes that has one value.
func (w *wire) constant(what string, size int, want uint64) {
	at := w.at
	if n := w.fixed(size, want, math.MaxUint64); n != want {
		w.fail(at, "expected %s, found %d", what, n)
	}
}

// number is one of variable length.
func (w *wire) number(n, most uint64) uint64 {
	at := w.at
	switch {
	case w.err != nil:
		return 0
	case !w.reads:
		w.b = binary.AppendUvarint(w.b, n)
	default:
		var size int
		if n, size = binary.Uvarint(w.b[w.at:]); size <= 0 {
			w.fail(at, "expected a number of variable length, found none")
			return 0
		}
		w.at += size
	}
	return w.upTo(at, n, most)
}

// flag is the lowest bit of a number; later versions may use the others.
func (w *wire) flag(set bool) bool {
	n := uint64(0)
	if set {
		n = 1
	}
	return w.number(n, math.MaxUint32)&1 == 1
}

func (w *wire) javaText(s string) string {
	return string(w.bytes(int(w.fixed(2, uint64(len(s)), math.MaxInt16)), []byte(s)))
}

func (w *wire) text(s string) string {
	return string(w.bytes(int(w.number(uint64(len(s)), maxText)), []byte(s)))
}

// list is a list of elements that take at least so many bytes each.
func list[T any](w *wire, l []T, least int, each func(T) T) []T {
	at := w.at
	n := w.number(uint64(len(l)), math.MaxUint32)
	if left := len(w.b) - w.at; w.reads {
		if n > uint64(left/least) {
			w.fail(at, "expected at most %d elements in %d bytes, found %d", left/least, left, n)
			return nil
		}
		l = slices.Grow(l, int(n))[:n]
	}
	for i := range l {
		v := each(l[i])
		if w.err != nil {
			return nil
		}
		if w.reads { // otherwise the list is the caller's
			l[i] = v
		}
	}
	return l
}

func (w *wire) held(held []Held) []Held {
	return list(w, held, 8+1+1, func(h Held) Held {
		return Held{Key(w.fixed(8, uint64(h.Connector), math.MaxUint64)),
			int64(w.number(uint64(h.Version), math.MaxInt64)),
			bytes.Clone(w.bytes(int(w.number(uint64(len(h.Units)), maxTask/8+1)), h.Units))}
	})
}

func (w *wire) shares(shares []Share) []Share {
	return list(w, shares, 8+1+1, func(s Share) Share {
		return Share{Key(w.fixed(8, uint64(s.Origin), math.MaxUint64)),
			int32(w.number(uint64(s.Requests), math.MaxInt32)),
			int32(w.number(uint64(s.PerSecondMilli), math.MaxInt32))}
	})
}
