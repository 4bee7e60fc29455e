package chain

import (
	"github.com/culvert-project/culvert/wit"
)

// what an inserted field holds, in the order in which InsertField adds them.
type what uint8

const (
	theTopic what = iota
	thePartition
	theOffset
	theTimestamp
	theStatic
)

const insertPurpose = "field insertion"

func noSinkRecord(stage int) *failure {
	return &failure{stage, dataException, "Only SinkRecord supported for [" + insertPurpose +
		"], found: org.apache.kafka.connect.source.SourceRecord"}
}

// check is something that must be there in a row for a field that was inserted.
type check struct {
	what  what
	stage int
}

// failed is the check that a row does not pass whose stage comes first, nil if it passes all. An offset that is not
// there fails in Kafka's transform, and before the rest: a null in a required field is found by its converter.
func failed(checks []check, row *wit.Row) (first *failure) {
	for i := range checks {
		c := &checks[i]
		if first != nil && c.stage > first.stage {
			break
		}
		switch {
		case c.what == theOffset && row.Offset < 0:
			return noSinkRecord(c.stage)
		case c.what == thePartition && row.Partition < 0, c.what == theTimestamp && row.Timestamp < 0:
			first = requiredNull(c.stage)
		}
	}
	return first
}
