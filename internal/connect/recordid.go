package connect

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// recordID identifies a record by position and content: a recreated topic has other records in the same positions.
type recordID [16]byte

func newRecordID(topic string, partition int32, offset int64, timestamp time.Time, key, value []byte) (id recordID) {
	h := sha256.New()
	position := binary.LittleEndian.AppendUint32(nil, uint32(partition))
	position = binary.LittleEndian.AppendUint64(position, uint64(offset))
	if !timestamp.IsZero() {
		position = binary.LittleEndian.AppendUint64(position, uint64(timestamp.UnixMilli()))
	}
	for _, part := range [][]byte{[]byte(topic), position, key, value} {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	copy(id[:], h.Sum(nil))
	return id
}

// recordID identifies the original record or row.
func (l *DeadLetter) recordID() (id recordID) {
	if original, err := hex.DecodeString(l.Original); err == nil && len(original) == len(id) {
		return recordID(original)
	}
	if l.Partition < 0 && l.Timestamp.IsZero() && l.Replays == 0 {
		r := l.Record // only the position of the dead letter distinguishes rows of a source without a time
		return newRecordID(r.Topic, r.Partition, r.Offset, r.Timestamp, r.Key, r.Value)
	}
	return newRecordID(l.Topic, l.Partition, l.Offset, l.Timestamp, l.Record.Key, l.Record.Value)
}

// original returns the identifier in an index.
func (r recordID) original() originalID { return originalID(binary.LittleEndian.Uint64(r[:])) }

// newKeyID identifies a record key in a partition.
func newKeyID(topic string, partition int32, key []byte) recordID {
	return newRecordID(topic, partition, -1, time.Time{}, key, nil)
}
