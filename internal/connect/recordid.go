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

// recordID identifies the original record or row. A row of a source with a key is the same row each time that it is
// read, until it has another value.
func (l *DeadLetter) recordID() (id recordID) {
	r := l.Record
	original, err := hex.DecodeString(l.Original)
	switch {
	case err == nil && len(original) == len(id):
		return recordID(original)
	case l.isRow() && r.Key != nil:
		return newRowRecord(l.Feed, r.Key, r.Value).content
	case l.isRow() && l.Timestamp.IsZero() && l.Replays == 0:
		// Only the position of the dead letter distinguishes rows without key and time.
		return newRecordID(r.Topic, r.Partition, r.Offset, r.Timestamp, r.Key, r.Value)
	}
	return newRecordID(l.Topic, l.Partition, l.Offset, l.Timestamp, r.Key, r.Value)
}

// isRow reports whether the letter is of a source.
func (l *DeadLetter) isRow() bool { return l.Partition < 0 }

// keyID identifies the key of the original record or row, which letters with other values share. Zero means no key.
func (l *DeadLetter) keyID() originalID {
	switch {
	case l.Record.Key == nil:
		return 0
	case l.isRow():
		return newRowRecord(l.Feed, l.Record.Key, l.Record.Value).key.original()
	}
	return newKeyID(l.Topic, l.Partition, l.Record.Key).original()
}

// original returns the identifier in an index.
func (r recordID) original() originalID { return originalID(binary.LittleEndian.Uint64(r[:])) }

// newKeyID identifies a record key in a partition.
func newKeyID(topic string, partition int32, key []byte) recordID {
	return newRecordID(topic, partition, -1, time.Time{}, key, nil)
}
