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

	// maxTask is the largest number of tasks of a connector in a group, as it bounds a bitmap to 12.5 KB. It is ten times
	// what a source may be shared out among.
	maxTask = 100_000
	// maxText is the length of a text of ours in bytes: names, versions and digests, which get into logs.
	maxText = 1_000

	flagLeaving = 1
	flagAgain   = 1
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
	return slices.ContainsFunc(b[min(1, len(b)):], nonzero) || len(b) > 0 && b[0]>>1 != 0
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

func nonzero(b byte) bool { return b != 0 }

// Held is what a member has of a connector in one version.
type Held struct {
	Connector Key
	Version   int64 // offset of the connector's commit in the config topic; 0: it has none yet, so no tasks
	Units     Bits
}

func compareHeld(a, b Held) int {
	return cmp.Or(cmp.Compare(a.Connector, b.Connector), cmp.Compare(a.Version, b.Version))
}

// check finds what neither side hands to the other.
func (h Held) check() error {
	last := len(h.Units)*8 - 1
	if last < 0 || h.Units[len(h.Units)-1] == 0 {
		return fmt.Errorf("expected units of connector %016x that end with a byte other than 0, found %x", h.Connector,
			[]byte(h.Units))
	}
	last -= bits.LeadingZeros8(h.Units[len(h.Units)-1])
	switch {
	case last > maxTask:
		return fmt.Errorf("expected at most %d tasks of connector %016x, found task %d", maxTask, h.Connector, last-1)
	case last > 0 && h.Version == 0:
		return fmt.Errorf("expected no tasks of connector %016x, as it has none yet, found task %d", h.Connector, last-1)
	}
	return nil
}

// Share is what a member may ask of an origin.
type Share struct {
	Origin         Key
	Requests       int32 // at a time; at least 1, or the member could not do anything
	PerSecondMilli int32 // requests in 1,000 s; 0: as many as it likes
}

// PluginOffer is a plugin that a member has.
type PluginOffer struct{ Name, Version, Hash string }

// Metadata is what a member says when it joins the group.
type Metadata struct {
	URL    string // where the other members reach its REST API
	Offset int64  // of the last record of the config topic that it read, plus 1
	// Holds is everything that the member runs, starts, or is stopping still. A unit counts from the moment when the
	// assignment with it arrived: between joining and the next assignment a member starts nothing. In any order; a
	// connector may be there in several versions.
	Holds      []Held
	Shares     []Share // that it keeps to now
	Generation int32   // of the group, in which it was given what it holds; 0 where it was given nothing
	Leaving    bool    // it is about to leave: nothing is to be given to it
	Name       string  // which is the same after a restart: the instance, or the URL
	Plugins    []PluginOffer
	Digest     string // of its folder of connectors, "" without one
}

// Assignment is what the leader says to a member.
type Assignment struct {
	Leader, LeaderURL string        // the leader's member id, and where its REST API is reached
	Offset            int64         // of the config topic: what was planned with. Who has not read so far reads on first
	Delay             time.Duration // until the leader plans again because of lost units, in whole milliseconds
	// Again asks a member that has to stop units to join again when it has: another member waits for them.
	Again  bool
	Target []Held // all that the member is to run: what it holds and is not named here is to be stopped
	Shares []Share
}

// Encode is the bytes of a member's metadata. It fails for a text or a task number that Decode refuses.
func (m *Metadata) Encode() ([]byte, error) {
	w := encoder{b: binary.BigEndian.AppendUint16(nil, javaVersion)}
	w.javaText(m.URL)
	w.b = binary.BigEndian.AppendUint64(w.b, uint64(m.Offset))
	w.b = binary.BigEndian.AppendUint32(w.b, math.MaxUint32) // Java's assignment: null
	w.b = append(w.b, sectionFormat)
	w.flags(m.Leaving, flagLeaving)
	w.number(int64(m.Generation))
	w.text(m.Name)
	w.text(m.Digest)
	w.held(m.Holds)
	w.shares(m.Shares)
	w.number(int64(len(m.Plugins)))
	for _, p := range m.Plugins {
		w.text(p.Name)
		w.text(p.Version)
		w.text(p.Hash)
	}
	return w.done("metadata of a member")
}

// DecodeMetadata reads metadata of a member. The result shares nothing with the bytes.
func DecodeMetadata(b []byte) (m Metadata, err error) {
	r := decoder{b: b}
	r.expect("version 2 of Kafka Connect's protocol", 2, javaVersion)
	m.URL = r.javaText()
	m.Offset = int64(r.upTo(8, math.MaxInt64))
	r.expect("no assignment of Kafka Connect's (-1)", 4, math.MaxUint32)
	r.expect("the section of Culvert", 1, sectionFormat)
	m.Leaving = r.number(math.MaxUint32)&flagLeaving != 0
	m.Generation = int32(r.number(math.MaxInt32))
	m.Name, m.Digest = r.text(), r.text()
	m.Holds, m.Shares = r.held(), r.shares()
	for range r.count(3) {
		m.Plugins = append(m.Plugins, PluginOffer{r.text(), r.text(), r.text()})
	}
	return m, r.done("metadata of a member")
}

// Encode is the bytes of an assignment. It fails for a text or a task number that Decode refuses.
func (a *Assignment) Encode() ([]byte, error) {
	w := encoder{b: binary.BigEndian.AppendUint32(nil, javaVersion<<16)} // and the error: none
	w.javaText(a.Leader)
	w.javaText(a.LeaderURL)
	w.b = binary.BigEndian.AppendUint64(w.b, uint64(a.Offset))
	w.b = append(w.b, make([]byte, 8)...) // Java's lists of what is assigned and revoked: empty
	w.b = binary.BigEndian.AppendUint32(w.b, uint32(min(max(a.Delay.Milliseconds(), 0), math.MaxInt32)))
	w.b = append(w.b, sectionFormat)
	w.flags(a.Again, flagAgain)
	w.held(a.Target)
	w.shares(a.Shares)
	return w.done("assignment")
}

// DecodeAssignment reads an assignment. The result shares nothing with the bytes.
func DecodeAssignment(b []byte) (a Assignment, err error) {
	r := decoder{b: b}
	r.expect("version 2 of Kafka Connect's protocol", 2, javaVersion)
	r.expect("no error (0)", 2, 0)
	a.Leader, a.LeaderURL = r.javaText(), r.javaText()
	a.Offset = int64(r.upTo(8, math.MaxInt64))
	r.expect("an empty list of Kafka Connect's assigned connectors (0)", 4, 0)
	r.expect("an empty list of Kafka Connect's revoked connectors (0)", 4, 0)
	a.Delay = time.Duration(r.upTo(4, math.MaxInt32)) * time.Millisecond
	r.expect("the section of Culvert", 1, sectionFormat)
	a.Again = r.number(math.MaxUint32)&flagAgain != 0
	a.Target, a.Shares = r.held(), r.shares()
	return a, r.done("assignment")
}

// encoder appends values; the first error stays.
type encoder struct {
	b   []byte
	err error
}

func (w *encoder) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

func (w *encoder) done(what string) ([]byte, error) {
	if w.err != nil {
		return nil, fmt.Errorf("%s: %w", what, w.err)
	}
	return w.b, nil
}

func (w *encoder) javaText(s string) {
	if len(s) > math.MaxInt16 {
		w.fail("expected at most %d bytes, found %d: %.40q…", math.MaxInt16, len(s), s)
	}
	w.b = append(binary.BigEndian.AppendUint16(w.b, uint16(len(s))), s...)
}

func (w *encoder) text(s string) {
	if len(s) > maxText {
		w.fail("expected at most %d bytes, found %d: %.40q…", maxText, len(s), s)
	}
	w.number(int64(len(s)))
	w.b = append(w.b, s...)
}

func (w *encoder) number(n int64) {
	if n < 0 {
		w.fail("expected a number of 0 or more, found %d", n)
	}
	w.b = binary.AppendUvarint(w.b, uint64(n))
}

func (w *encoder) flags(set bool, flag int64) {
	if !set {
		flag = 0
	}
	w.number(flag)
}

// held writes connectors in rising order, without those of which nothing is held.
func (w *encoder) held(list []Held) {
	list = slices.DeleteFunc(slices.Clone(list), func(h Held) bool { return !slices.ContainsFunc(h.Units, nonzero) })
	slices.SortFunc(list, compareHeld)
	w.number(int64(len(list)))
	for i, h := range list {
		if i > 0 && compareHeld(list[i-1], h) == 0 {
			w.fail("expected connector %016x once in version %d, found it twice", h.Connector, h.Version)
		}
		h.Units = bytes.TrimRight(h.Units, "\x00")
		if err := h.check(); err != nil {
			w.fail("%w", err)
		}
		w.b = binary.BigEndian.AppendUint64(w.b, uint64(h.Connector))
		w.number(h.Version)
		w.number(int64(len(h.Units)))
		w.b = append(w.b, h.Units...)
	}
}

func (w *encoder) shares(list []Share) {
	w.number(int64(len(list)))
	for _, s := range list {
		w.b = binary.BigEndian.AppendUint64(w.b, uint64(s.Origin))
		w.number(int64(s.Requests))
		w.number(int64(s.PerSecondMilli))
	}
}

// decoder reads values from bytes that come from outside. The first error stays, and all that is read after it is
// zero. It allocates nothing that the remaining bytes cannot fill.
type decoder struct {
	b   []byte
	at  int
	err error
}

func (r *decoder) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format+fmt.Sprintf(" at byte %d of %d", r.at, len(r.b)), args...)
	}
}

func (r *decoder) done(what string) error {
	if r.err != nil {
		return fmt.Errorf("%s: %w", what, r.err)
	}
	return nil
}

// expect reads a number of so many bytes that has one value.
func (r *decoder) expect(what string, size, want uint64) {
	at := r.at
	if found := r.fixed(size); r.err == nil && found != want {
		r.at = at
		r.fail("expected %s, found %d", what, found)
	}
}

// next is the next n bytes, or none of them.
func (r *decoder) next(n uint64) []byte {
	if r.err != nil {
		return nil
	}
	if left := uint64(len(r.b) - r.at); n > left {
		r.fail("expected %d more bytes, found %d", n, left)
		return nil
	}
	r.at += int(n)
	return r.b[r.at-int(n) : r.at]
}

// fixed is a number of so many bytes, big-endian.
func (r *decoder) fixed(size uint64) (n uint64) {
	for _, c := range r.next(size) {
		n = n<<8 | uint64(c)
	}
	return n
}

// upTo is a number of so many bytes that has an upper bound.
func (r *decoder) upTo(size, most uint64) uint64 {
	at := r.at
	n := r.fixed(size)
	if n > most {
		r.at = at
		r.fail("expected a number of 0 to %d, found %d", most, n)
		return 0
	}
	return n
}

func (r *decoder) number(most uint64) uint64 {
	if r.err != nil {
		return 0
	}
	n, size := binary.Uvarint(r.b[r.at:])
	switch {
	case size <= 0:
		r.fail("expected a number of variable length, found none")
		return 0
	case n > most:
		r.fail("expected a number of at most %d, found %d", most, n)
		return 0
	}
	r.at += size
	return n
}

// count is the number of elements of a list, of which each takes at least so many bytes.
func (r *decoder) count(least int) int {
	n := r.number(math.MaxUint32)
	if left := len(r.b) - r.at; n > uint64(left/least) {
		r.fail("expected at most %d elements in %d bytes, found %d", left/least, left, n)
		return 0
	}
	return int(n)
}

func (r *decoder) javaText() string { return string(r.next(r.upTo(2, math.MaxInt16))) }

func (r *decoder) text() string { return string(r.next(r.number(maxText))) }

func (r *decoder) held() (list []Held) {
	n := r.count(8 + 1 + 1 + 1)
	list = slices.Grow(list, n)
	for range n {
		h := Held{Connector: Key(r.fixed(8)), Version: int64(r.number(math.MaxInt64))}
		h.Units = bytes.Clone(r.next(r.number(maxTask/8 + 1)))
		if r.err != nil {
			return nil
		}
		if err := h.check(); err != nil {
			r.fail("%w", err)
		}
		if last := len(list) - 1; last >= 0 && compareHeld(list[last], h) >= 0 {
			r.fail("expected connectors in rising order, found %016x, version %d, after %016x, version %d",
				h.Connector, h.Version, list[last].Connector, list[last].Version)
		}
		list = append(list, h)
	}
	return list
}

func (r *decoder) shares() (list []Share) {
	n := r.count(8 + 1 + 1)
	list = slices.Grow(list, n)
	for range n {
		list = append(list, Share{Key(r.fixed(8)), int32(r.number(math.MaxInt32)), int32(r.number(math.MaxInt32))})
	}
	return list
}
