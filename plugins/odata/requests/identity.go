package requests

import (
	"encoding/hex"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/wit"
)

// Names of the headers by which a service knows a POST again.
const (
	requestID   = "RequestID"
	requestTime = "RepeatabilityCreation"
)

// identity tells the service by what it knows a POST again. It is made from the set that is written to and from the
// record's topic, partition, offset, part and timestamp, all as it was read, so that it is the same whenever the record
// is sent to the set, by whichever run, and another one for another set, for another cluster's topic of that name, and
// for a topic that was made again. Assumption: the forms are those that clients of SAP Gateway send, 32 hexadecimal
// digits and a time without zone.
type identity struct {
	// path of the set, topic of the record.
	path, topic string
	record      wit.RecordID
	timestamp   int64
}

// headers are those by which the service knows the POST again.
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
