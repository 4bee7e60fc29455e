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

	"github.com/culvert-project/culvert/internal/plugin"
	"github.com/culvert-project/culvert/internal/transport/limits"
)

// Metadata and assignments begin in Kafka Connect's format version 2 (IncrementalCooperativeConnectProtocol), so that
// its tools find URL, config offset and leader; Java's lists are empty. Our section follows, which Java ignores: a byte
// for its format, and compressed JSON (RFC 1951), because all of a group is one record of __consumer_offsets.
const (
	javaVersion   = 2
	sectionFormat = 0xC2

	maxTask    = 100_000 // the largest number of tasks of a connector in a group. It bounds a bitmap to 12.5 KB.
	maxText    = 1_000
	maxSection = 8 << 20 // the largest size of the JSON in bytes: 10,000 connectors need a tenth of it
)

// Key is a short hash of a name of a connector or an origin.
type Key uint64

// KeyOf returns the key of a name: the first 8 bytes of its SHA-256.
func KeyOf(name string) Key {
	sum := sha256.Sum256([]byte(name))
	return Key(binary.BigEndian.Uint64(sum[:]))
}

// ResourceIndexes is a bitmap of a connector's resources: index 0 is the connector, n+1 is task n.
type ResourceIndexes []byte

// Has reports whether the bitmap contains an index.
func (r ResourceIndexes) Has(index int) bool { return index/8 < len(r) && r[index/8]>>(index%8)&1 == 1 }

// HasTasks reports whether the bitmap contains a task.
func (r ResourceIndexes) HasTasks() bool {
	for index := range r.All() {
		if index > 0 {
			return true
		}
	}
	return false
}

// All returns the indexes in ascending order.
func (r ResourceIndexes) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, remaining := range r {
			for ; remaining != 0; remaining &= remaining - 1 {
				if !yield(i*8 + bits.TrailingZeros8(remaining)) {
					return
				}
			}
		}
	}
}

// Add adds an index.
func (r *ResourceIndexes) Add(index int) {
	for index/8 >= len(*r) {
		*r = append(*r, 0)
	}
	(*r)[index/8] |= 1 << (index % 8)
}

// ResourceSet are resources of one version of a connector. Version is of its [config.TaskConfigs], zero means no tasks.
type ResourceSet struct {
	Connector Key             `json:"c"`
	Version   int64           `json:"v,omitempty"`
	Resources ResourceIndexes `json:"u"`
}

func compareResourceSets(a, b ResourceSet) int {
	return cmp.Or(cmp.Compare(a.Connector, b.Connector), cmp.Compare(a.Version, b.Version))
}

// Metadata is what a member sends when it joins. The JSON names are part of the protocol.
type Metadata struct {
	URL    string `json:"-"` // the address of the member's REST API
	Offset int64  `json:"-"` // the offset after the last record of the config topic that the member has read
	// Owned are all resources that the member runs, starts or is still stopping, in any order. A resource counts from
	// the arrival of its assignment. A connector may occur in several versions.
	Owned      []ResourceSet  `json:"Holds,omitempty"`
	Generation int32          // the generation in which the member got what it owns. Zero means that it got nothing.
	Leaving    bool           `json:",omitempty"`
	Name       string         // Name stays the same after a restart: group.instance.id, else the URL
	Plugins    []plugin.Offer `json:",omitempty"`
	Digest     string         `json:",omitempty"` // of the member's folder of connectors. Empty means no folder.
	Classes    []Key          `json:",omitempty"` // keys of the names of all classes that the member has
	Topic      string         `json:",omitempty"` // config.storage.topic. Empty means the leader's.
	// IsBehind is true while the member has not read the config topic up to the offset of its assignment.
	IsBehind bool `json:"Lags,omitempty"`
}

// Assignment is what the leader sends to a member.
type Assignment struct {
	Leader    string `json:"-"` // the leader's member ID
	LeaderURL string `json:"-"` // the address of the leader's REST API
	// Offset is the offset of the config topic at which the leader planned. A member that cannot read it releases all.
	Offset int64         `json:"-"`
	Delay  time.Duration `json:"-"` // the time until the leader plans again; zero means with the next change
	// RejoinAfterRevoke asks a member that has to release resources to rejoin when it has: other members wait for them.
	RejoinAfterRevoke bool                    `json:"Again,omitempty"`
	Target            []ResourceSet           `json:",omitempty"`      // all that the member must run
	Origins           map[Key]limits.Division `json:",omitempty"`      // the member's part of the limits of origins
	LastMember        bool                    `json:"Alone,omitempty"` // all other members are leaving
	Former            formerMembers           `json:",omitempty"`      // members that have left or were lost
}

// Encode returns the bytes of a member's metadata. It fails for what DecodeMetadata rejects.
func (m Metadata) Encode() ([]byte, error) {
	java := kmsg.ConnectMemberMetadata{Version: javaVersion, URL: m.URL, ConfigOffset: m.Offset}
	return encode(&java, m, m.checkBounds())
}

// DecodeMetadata decodes what [Metadata.Encode] has returned. It rejects larger values than a member may send.
func DecodeMetadata(b []byte) (metadata Metadata, err error) {
	var java kmsg.ConnectMemberMetadata
	if err = decode(b, &java, &metadata); err == nil {
		metadata.URL = java.URL
		metadata.Offset = java.ConfigOffset
		err = metadata.checkBounds()
	}
	if err != nil {
		return Metadata{}, fmt.Errorf("metadata of a member: %w", err)
	}
	return metadata, nil
}

func (m *Metadata) checkBounds() error {
	texts := []string{m.URL, m.Name, m.Digest, m.Topic}
	for _, p := range m.Plugins {
		texts = append(texts, p.Name, p.Version, p.Hash)
	}
	return checkBounds(m.Owned, texts...)
}

// Encode returns the bytes of an assignment. It fails for what DecodeAssignment rejects.
func (a Assignment) Encode() ([]byte, error) {
	java := kmsg.ConnectMemberAssignment{Version: javaVersion, Leader: a.Leader, LeaderURL: a.LeaderURL,
		ConfigOffset: a.Offset, ScheduledDelay: int32(min(a.Delay.Milliseconds(), math.MaxInt32))}
	return encode(&java, a, checkBounds(a.Target, a.Leader, a.LeaderURL))
}

// DecodeAssignment decodes what [Assignment.Encode] has returned. It rejects larger values than a leader may send.
func DecodeAssignment(b []byte) (assignment Assignment, err error) {
	var java kmsg.ConnectMemberAssignment
	if err = decode(b, &java, &assignment); err == nil {
		assignment.Leader = java.Leader
		assignment.LeaderURL = java.LeaderURL
		assignment.Offset = java.ConfigOffset
		assignment.Delay = time.Duration(java.ScheduledDelay) * time.Millisecond
		err = checkBounds(assignment.Target, assignment.Leader, assignment.LeaderURL)
	}
	if err != nil {
		return Assignment{}, fmt.Errorf("assignment: %w", err)
	}
	return assignment, nil
}

func checkBounds(owned []ResourceSet, texts ...string) error {
	for _, set := range owned {
		if len(set.Resources) > maxTask/8+1 {
			return fmt.Errorf("expected at most %d tasks of a connector, found %d", maxTask, 8*len(set.Resources))
		}
	}
	for _, text := range texts {
		if len(text) > maxText {
			return fmt.Errorf("expected a text of at most %d bytes, found %d", maxText, len(text))
		}
	}
	return nil
}

// javaPart is the part of a message in Kafka Connect's format, see javaVersion.
type javaPart interface {
	AppendTo([]byte) []byte
	ReadFrom([]byte) error
}

// encode returns the bytes of a message, or boundsErr if it is not nil.
func encode(java javaPart, section any, boundsErr error) ([]byte, error) {
	if boundsErr != nil {
		return nil, boundsErr
	}
	b := bytes.NewBuffer(append(java.AppendTo(nil), sectionFormat))
	compressor, err := flate.NewWriter(b, flate.DefaultCompression)
	if err == nil {
		err = errors.Join(json.NewEncoder(compressor).Encode(section), compressor.Close())
	}
	return b.Bytes(), err
}

func decode(b []byte, java javaPart, section any) error {
	if err := java.ReadFrom(b); err != nil {
		return err
	}
	compressed, ok := bytes.CutPrefix(b, append(java.AppendTo(nil), sectionFormat))
	if !ok || binary.BigEndian.Uint16(b) != javaVersion {
		return fmt.Errorf("expected version %d of Kafka Connect's protocol and a section %#x of Culvert's, found %.64x",
			javaVersion, sectionFormat, b)
	}
	decompressor := flate.NewReader(bytes.NewReader(compressed))
	return json.NewDecoder(io.LimitReader(decompressor, maxSection)).Decode(section)
}
