package write

import (
	"strconv"
	"strings"
	"time"

	"github.com/culvert-project/culvert/plugins/odata/edm"
	"github.com/culvert-project/culvert/plugins/odata/value"
	"github.com/culvert-project/culvert/wit"
)

// Names of the headers by which a service knows a POST again.
const (
	requestID = "RequestID"
	creation  = "RepeatabilityCreation"
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

// identityMemory is of the identity that was made last.
type identityMemory struct {
	prefix   hashedPrefix
	creation second
}

// second is one as it was written.
type second struct {
	seconds int64
	text    []byte
}

// hash128 is FNV-1a of 128 bits, which is 2^88+0x13b times what it was, after each byte.
type hash128 struct{ high, low uint64 }

// with goes on with the hash.
func (h hash128) with(b []byte) hash128 {
	for _, c := range b {
		h.low ^= uint64(c)
		const factor = 0x13b
		lower := h.low & 0xffffffff * factor
		upper := h.low>>32*factor + lower>>32
		h.high = h.high*factor + h.low<<24 + upper>>32
		h.low = upper<<32 | lower&0xffffffff
	}
	return h
}

func (h hash128) appendHex(dst []byte) []byte {
	for _, word := range [...]uint64{h.high, h.low} {
		for shift := 60; shift >= 0; shift -= 4 {
			dst = append(dst, "0123456789ABCDEF"[word>>shift&15])
		}
	}
	return dst
}

// hashedPrefix is what hashes of rows begin with, which mostly is the same as that of the row before.
type hashedPrefix struct {
	path, topic string
	sum         hash128
}

func (p *hashedPrefix) of(path, topic string) hash128 {
	if p.sum == (hash128{}) || p.path != path || p.topic != topic {
		p.path, p.topic = strings.Clone(path), strings.Clone(topic)
		p.sum = hash128{0x6c62272e07bb0142, 0x62b821756295c58d}.with([]byte(path + "\x00" + topic))
	}
	return p.sum
}

// headers are those by which the service knows the POST again.
func (m *identityMemory) headers(i identity) []wit.Header {
	return []wit.Header{{Name: requestID, Value: string(m.appendID(nil, i))},
		{Name: creation, Value: string(m.appendCreation(nil, i))}}
}

// appendLines writes the headers as lines.
func (m *identityMemory) appendLines(dst []byte, i identity) []byte {
	dst = append(m.appendID(append(dst, requestID+": "...), i), "\r\n"...)
	return append(m.appendCreation(append(dst, creation+": "...), i), "\r\n"...)
}

func (m *identityMemory) appendID(dst []byte, i identity) []byte {
	h := m.prefix.of(i.path, i.topic)
	var digits [24]byte
	for _, n := range [...]int64{int64(i.record.Partition), i.record.Offset, int64(i.record.Part), i.timestamp} {
		h = h.with(strconv.AppendInt(append(digits[:0], 0), n, 10))
	}
	return h.appendHex(dst)
}

// appendCreation writes the record's time in seconds, which mostly is that of the one before.
func (m *identityMemory) appendCreation(dst []byte, i identity) []byte {
	seconds := max(i.timestamp, 0) / 1000
	if last := &m.creation; last.text == nil || last.seconds != seconds {
		last.seconds = seconds
		var ok bool
		if last.text, ok = value.AppendISO(last.text[:0], edm.DateTime, seconds*1000); !ok {
			last.text = append(last.text[:0], moment(seconds*1000)...)
		}
	}
	return append(dst, m.creation.text...)
}

// moment writes milliseconds since 1970 as a time of UTC.
func moment(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05") }
