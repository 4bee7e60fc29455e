package connect

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/internal/run/offset"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/wit"
)

// replayOwner begins the names under which it is stored what was replayed of connectors' letters: no connector's, by
// its colon and blank.
const replayOwner = "culvert dlq replay: "

// replayPartition is what it is stored under for a partition of a topic of dead letters.
func replayPartition(topic string, partition int32) []wit.Field {
	return []wit.Field{wit.TextField("topic", topic), wit.IntegerField("partition", int64(partition))}
}

// ReplayedLetters are those of a topic that were replayed, or that another one of their record stood for then.
type ReplayedLetters struct {
	topic string
	// places are what is stored, by what it is stored under; one that cannot be read is an error.
	places map[string]replayPlace
}

// ReadReplayed reads what was replayed of a topic of dead letters out of a worker's topic of offsets, which its
// settings name; where there is none yet nothing was.
func ReadReplayed(ctx context.Context, reader *kafka.Reader, worker map[string]string,
	topic string) (*ReplayedLetters, error) {
	c, problems := offset.Parse(worker)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	all := &ReplayedLetters{topic, map[string]replayPlace{}}
	_, err := reader.Read(ctx, c.Topic, kafka.ReadOptions{}, func(r *kgo.Record) error {
		owner, partition, err := offset.ParseKey(r.Key)
		if err != nil || !strings.HasPrefix(owner, replayOwner) {
			return nil
		}
		var fields []wit.Field
		if r.Value != nil {
			fields, err = offset.ParseFields(r.Value)
		}
		if err == nil {
			all.places[owner+offset.Identity(partition)], err = readReplayPlace(fields)
		}
		if err != nil {
			return fmt.Errorf("what is stored by %s: %w", owner, err)
		}
		return nil
	})
	if errors.Is(err, kafka.ErrUnknownTopic) {
		err = nil
	}
	return all, err
}

// Has tells whether a letter is one of them.
func (r *ReplayedLetters) Has(l *DeadLetter) bool {
	place := r.places[replayOwner+l.Connector+offset.Identity(replayPartition(r.topic, l.Record.Partition))]
	return l.Connector != "" && place.settled(l.Record.Offset)
}
