package requests

import (
	"encoding/hex"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/capabilities"
	"github.com/culvert-project/culvert/plugins/odata/entityset"
	"github.com/culvert-project/culvert/wit"
)

const (
	requestID   = "RequestID"
	requestTime = "RepeatabilityCreation"
)

// identity identifies the POST of a record, so that the service can recognize its repetition. It is the same in every
// run, and differs between sets, topics and clusters. Assumption: SAP Gateway expects the format of its own clients, 32
// hexadecimal digits and a time without zone.
type identity struct {
	path, topic string
	record      wit.RecordID
	timestamp   int64
}

func (e *rowEncoder) identity() identity {
	return identity{e.set.Path, e.recordTopic, e.recordID, e.row.Timestamp}
}

// headers returns the RequestID, a hash, and the time of the record.
func (i identity) headers() []wit.Header {
	hash := fnv.New128a()
	text := append(append([]byte(i.path), 0), i.topic...)
	for _, n := range [...]int64{int64(i.record.Partition), i.record.Offset, int64(i.record.Part), i.timestamp} {
		text = strconv.AppendInt(append(text, 0), n, 10)
	}
	hash.Write(text)
	seconds := max(i.timestamp, 0) / 1000
	return []wit.Header{{Name: requestID, Value: strings.ToUpper(hex.EncodeToString(hash.Sum(nil)))},
		{Name: requestTime, Value: time.Unix(seconds, 0).UTC().Format("2006-01-02T15:04:05")}}
}

// IsIdempotent reports whether the service ignores a repeated POST of the row by its RequestID.
func IsIdempotent(state *capabilities.State, set *entityset.EntitySet, hint Hint) bool {
	return state.InsertUncertain == "repeatable" && state.ServiceCapabilities[set.ServiceIndex].RequestIDs &&
		!hint.SentByOther
}

// IsRepeatable reports whether the request, or its operation in a batch, may be sent twice.
func (t *Target) IsRepeatable(state *capabilities.State) bool {
	if t.IsInsert() {
		return state.InsertUncertain == "retry" || IsIdempotent(state, t.Set, t.Hint)
	}
	sendsETag := state.UseETags && t.Hint.HasETag && t.Hint.ETag != ""
	return t.Operation == Delete || !sendsETag || state.RetryETagConflicts
}
