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
	cache := &e.identities
	if cache.hash == nil {
		cache.hash = fnv.New128a()
	}
	cache.text = append(append(append(cache.text[:0], e.set.Path...), 0), e.recordTopic...)
	for _, number := range [...]int64{int64(e.recordID.Partition), e.recordID.Offset, int64(e.recordID.Part),
		e.row.Timestamp} {
		cache.text = strconv.AppendInt(append(cache.text, 0), number, 10)
	}
	cache.hash.Reset()
	cache.hash.Write(cache.text)
	cache.text = cache.text[:0]
	for _, octet := range cache.hash.Sum(cache.sum[:0]) {
		cache.text = append(cache.text, upperHex[octet>>4], upperHex[octet&15])
	}
	if seconds := max(e.row.Timestamp, 0) / 1000; cache.time == "" || seconds != cache.seconds {
		cache.seconds = seconds
		cache.time = time.Unix(seconds, 0).UTC().Format("2006-01-02T15:04:05")
	}
	return append(headers, wit.Header{Name: requestID, Value: string(cache.text)},
		wit.Header{Name: requestTime, Value: cache.time})
}

const upperHex = "0123456789ABCDEF"

// identityCache holds memory for identities, and the time of the last record.
type identityCache struct {
	hash    hash.Hash
	text    []byte
	sum     [16]byte
	seconds int64  // since 1970
	time    string // seconds in the format of RepeatabilityCreation. "" means that no record was encoded yet.
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
