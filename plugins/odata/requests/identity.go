package requests

import (
	"encoding/hex"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/wit"
)

// Headers that make a POST idempotent.
const (
	requestID   = "RequestID"
	requestTime = "RepeatabilityCreation"
)

// identity identifies the POST of a record. It is the same in every run, and differs between sets, topics and clusters.
// Assumption: the format is that of SAP Gateway's clients, 32 hexadecimal digits and a time without zone.
type identity struct {
	path, topic string
	record      wit.RecordID
	timestamp   int64
}

func (i identity) headers() []wit.Header {
	h := fnv.New128a()
	text := append(append([]byte(i.path), 0), i.topic...)
	for _, n := range [...]int64{int64(i.record.Partition), i.record.Offset, int64(i.record.Part), i.timestamp} {
		text = strconv.AppendInt(append(text, 0), n, 10)
	}
	h.Write(text)
	seconds := max(i.timestamp, 0) / 1000
	return []wit.Header{{Name: requestID, Value: strings.ToUpper(hex.EncodeToString(h.Sum(nil)))},
		{Name: requestTime, Value: time.Unix(seconds, 0).UTC().Format("2006-01-02T15:04:05")}}
}
