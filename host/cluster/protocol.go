package cluster

import (
	"bytes"
	"cmp"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"math/bits"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/host/transport/limits"
)

// What members of a group and their leader hand to each other begins in Kafka Connect's layout of version 2
// (IncrementalCooperativeConnectProtocol), so that tools which decode Connect's groups find URL, config offset and
// leader. Java's lists are empty. A section of ours follows, which Java ignores: a byte that says its format, and JSON
// that is compressed (RFC 1951), with connectors by their hashes and units as bitmaps, since metadata and assignments
// of all members are one record of __consumer_offsets. Later versions add members; who does not know them ignores them.
const (
	javaVersion   = 2
	sectionFormat = 0xC2

	// maxTask is how many tasks a connector may have in a group: ten times what a source may be shared out among. It
	// bounds a bitmap to 12.5 KB.
	maxTask = 100_000
	// maxText is the length of a text in bytes: URLs, names, versions and digests, which get into logs.
	maxText = 1_000
	// maxSection is how many bytes of JSON are read: 10,000 connectors need a tenth of it.
	maxSection = 8 << 20
)

// Key stands for a name (of a connector, of an origin) in few bytes.
type Key uint64

// KeyOf is the key of a name: the first 8 bytes of its SHA-256.
func KeyOf(name string) Key {
	sum := sha256.Sum256([]byte(name))
	return Key(binary.BigEndian.Uint64(sum[:]))
}

// ResourceIndexes is a set of units of a connector: unit 0 is the connector itself (Kafka Connect's task -1), unit n+1
// is task n. Unit u is bit u%8 of byte u/8. The zero value is the empty set.
type ResourceIndexes []byte

// Has says if a unit is in the set.
func (b ResourceIndexes) Has(unit int) bool { return unit/8 < len(b) && b[unit/8]>>(unit%8)&1 == 1 }

// HasTasks says if a task is in the set.
func (b ResourceIndexes) HasTasks() bool {
	for unit := range b.All() {
		if unit > 0 {
			return true
		}
	}
	return false
}

// All are the units of the set, in rising order.
func (b ResourceIndexes) All() iter.Seq[int] {
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
func (b *ResourceIndexes) Add(unit int) {
	for unit/8 >= len(*b) {
		*b = append(*b, 0)
	}
	(*b)[unit/8] |= 1 << (unit % 8)
}

// ResourceSet is what a member has of a connector in one version.
type ResourceSet struct {
	Connector Key `json:"c"`
	// Version is the offset of the connector's commit in the config topic; 0: it has none yet, so no tasks.
	Version   int64           `json:"v,omitempty"`
	Resources ResourceIndexes `json:"u"`
}

func compareHeld(a, b ResourceSet) int {
	return cmp.Or(cmp.Compare(a.Connector, b.Connector), cmp.Compare(a.Version, b.Version))
}

// Metadata is what a member says when it joins the group.
type Metadata struct {
	URL    string `json:"-"` // where the other members reach its REST API
	Offset int64  `json:"-"` // of the last record of the config topic that it read, plus 1
	// Holds is everything that the member runs, starts, or is stopping still. A unit counts from the moment when the
	// assignment with it arrived: between joining and the next assignment a member starts nothing. In any order; a
	// connector may be there in several versions.
	Holds      []ResourceSet  `json:",omitempty"`
	Generation int32          // of the group, in which it was given what it holds; 0 where it was given nothing
	Leaving    bool           `json:",omitempty"` // it is about to leave: nothing is to be given to it
	Name       string         // which is the same after a restart: the instance, or the URL
	Plugins    []plugin.Offer `json:",omitempty"` // with the first digits of hashes
	Digest     string         `json:",omitempty"` // of its folder of connectors, "" without one
	Classes    []Key          `json:",omitempty"` // names of the connectors and stages that its plugins offer
	Topic      string         `json:",omitempty"` // config.storage.topic; "": it does not say, and means the leader's
	Lags       bool           `json:",omitempty"` // it is Leaving until it has read up to its assignment's Offset
}

// Assignment is what the leader says to a member.
type Assignment struct {
	// Leader is the leader's member id, and LeaderURL where its REST API is reached.
	Leader, LeaderURL string `json:"-"`
	// Offset is that of the config topic with which the plan was made. A member that does not read so far gives up
	// what it has until it does.
	Offset int64 `json:"-"`
	// Delay is until the leader plans again because of lost units, in whole milliseconds.
	Delay time.Duration `json:"-"`
	// Again asks a member that has to let go of units to join again when it has, as others wait for them.
	Again bool `json:",omitempty"`
	// all that the member is to run: what it holds and is not here is to be stopped
	Target []ResourceSet `json:",omitempty"`
	// Origins are those that the member has tasks of, with the limits that all members with such tasks divide.
	Origins map[Key]limits.Division `json:",omitempty"`
	// Alone: all others are about to leave, and nobody takes over what this one lets go of.
	Alone bool `json:",omitempty"`
}

// Encode is the bytes of a member's metadata. It fails for what DecodeMetadata refuses.
func (m Metadata) Encode() ([]byte, error) {
	java := kmsg.ConnectMemberMetadata{Version: javaVersion, URL: m.URL, ConfigOffset: m.Offset}
	return encode(&java, m, m.bounded())
}

// DecodeMetadata reads metadata of a member. The result shares nothing with the bytes.
func DecodeMetadata(b []byte) (m Metadata, err error) {
	var java kmsg.ConnectMemberMetadata
	if err = decode(b, &java, &m); err == nil {
		m.URL, m.Offset = java.URL, java.ConfigOffset
		err = m.bounded()
	}
	if err != nil {
		return Metadata{}, fmt.Errorf("metadata of a member: %w", err)
	}
	return m, nil
}

func (m *Metadata) bounded() error {
	texts := []string{m.URL, m.Name, m.Digest, m.Topic}
	for _, p := range m.Plugins {
		texts = append(texts, p.Name, p.Version, p.Hash)
	}
	return bounded(m.Holds, texts...)
}

// Encode is the bytes of an assignment. It fails for what DecodeAssignment refuses.
func (a Assignment) Encode() ([]byte, error) {
	java := kmsg.ConnectMemberAssignment{Version: javaVersion, Leader: a.Leader, LeaderURL: a.LeaderURL,
		ConfigOffset: a.Offset, ScheduledDelay: int32(min(a.Delay.Milliseconds(), math.MaxInt32))}
	return encode(&java, a, bounded(a.Target, a.Leader, a.LeaderURL))
}

// DecodeAssignment reads an assignment. The result shares nothing with the bytes.
func DecodeAssignment(b []byte) (a Assignment, err error) {
	var java kmsg.ConnectMemberAssignment
	if err = decode(b, &java, &a); err == nil {
		a.Leader, a.LeaderURL, a.Offset = java.Leader, java.LeaderURL, java.ConfigOffset
		a.Delay = time.Duration(java.ScheduledDelay) * time.Millisecond
		err = bounded(a.Target, a.Leader, a.LeaderURL)
	}
	if err != nil {
		return Assignment{}, fmt.Errorf("assignment: %w", err)
	}
	return a, nil
}

// bounded refuses tasks that no connector has, and long texts.
func bounded(held []ResourceSet, texts ...string) error {
	for _, h := range held {
		if len(h.Resources) > maxTask/8+1 {
			return fmt.Errorf("expected at most %d tasks of a connector, found %d", maxTask, 8*len(h.Resources))
		}
	}
	for _, text := range texts {
		if len(text) > maxText {
			return fmt.Errorf("expected a text of at most %d bytes, found %d", maxText, len(text))
		}
	}
	return nil
}

// javaPart is what Kafka Connect's own members say.
type javaPart interface {
	AppendTo([]byte) []byte
	ReadFrom([]byte) error
}

// encode puts the section after Java's part, where all of it is in bounds.
func encode(java javaPart, section any, bounds error) ([]byte, error) {
	if bounds != nil {
		return nil, bounds
	}
	b := bytes.NewBuffer(append(java.AppendTo(nil), sectionFormat))
	to, err := flate.NewWriter(b, flate.DefaultCompression)
	if err == nil {
		err = errors.Join(json.NewEncoder(to).Encode(section), to.Close())
	}
	return b.Bytes(), err
}

// decode reads Java's part and the section.
func decode(b []byte, java javaPart, section any) error {
	if err := java.ReadFrom(b); err != nil {
		return err
	}
	rest, ok := bytes.CutPrefix(b, append(java.AppendTo(nil), sectionFormat))
	if !ok || binary.BigEndian.Uint16(b) != javaVersion {
		return fmt.Errorf("expected version %d of Kafka Connect's protocol and a section %#x of Culvert's, found %.64x",
			javaVersion, sectionFormat, b)
	}
	from := flate.NewReader(bytes.NewReader(rest))
	return json.NewDecoder(io.LimitReader(from, maxSection)).Decode(section)
}
