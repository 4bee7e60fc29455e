package requests

import (
	"hash"
	"hash/fnv"
	"strconv"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/wit"
)

const (
	requestID   = "RequestID"
	requestTime = "RepeatabilityCreation"
)

// appendIdentity appends the headers that identify the POST of a record, so that the service can recognize its
// repetition: a hash, and the time of the record. They are the same in every run, and differ between sets, topics and
// clusters. Assumption: SAP Gateway expects the format of its own clients, 32 hexadecimal digits and a time without
// zone.
func (e *rowEncoder) appendIdentity(headers []wit.Header) []wit.Header {
	c := &e.identities
	if c.hash == nil {
		c.hash = fnv.New128a()
	}
	c.text = append(append(append(c.text[:0], e.set.Path...), 0), e.recordTopic...)
	for _, n := range [...]int64{int64(e.recordID.Partition), e.recordID.Offset, int64(e.recordID.Part),
		e.row.Timestamp} {
		c.text = strconv.AppendInt(append(c.text, 0), n, 10)
	}
	c.hash.Reset()
	c.hash.Write(c.text)
	c.text = c.text[:0]
	for _, b := range c.hash.Sum(c.sum[:0]) {
		c.text = append(c.text, upperHex[b>>4], upperHex[b&15])
	}
	if seconds := max(e.row.Timestamp, 0) / 1000; c.time == "" || seconds != c.seconds {
		c.seconds = seconds
		c.time = time.Unix(seconds, 0).UTC().Format("2006-01-02T15:04:05")
	}
	return append(headers, wit.Header{Name: requestID, Value: string(c.text)},
		wit.Header{Name: requestTime, Value: c.time})
}

const upperHex = "0123456789ABCDEF"

// identityCache holds memory for identities, and the time of the last record.
type identityCache struct {
	hash    hash.Hash
	text    []byte
	sum     [16]byte
	seconds int64  // since 1970
	time    string // formatted
}

// IsIdempotent reports whether the service ignores a repeated POST of the row by its RequestID.
func IsIdempotent(state *capabilities.State, set *entityset.EntitySet, hint *Hint) bool {
	return state.InsertUncertain == "repeatable" && state.ServiceCapabilities[set.ServiceIndex].RequestIDs &&
		!hint.SentByOther
}

// IsRepeatable reports whether the request, or its operation in a batch, may be sent twice.
func (t *Target) IsRepeatable(state *capabilities.State) bool {
	if t.IsInsert() {
		return state.InsertUncertain == "retry" || IsIdempotent(state, t.Set, &t.Hint)
	}
	sendsETag := state.UseETags && t.Hint.HasETag && t.Hint.ETag != ""
	return t.Operation == Delete || !sendsETag || state.RetryETagConflicts
}
