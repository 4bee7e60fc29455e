package deadletters

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/secret"
)

// Request selects the dead letters to replay.
type Request struct {
	Topic  string
	Filter Filter
	// IncludeReplayed replays letters again that were replayed before: those that Filter selects.
	IncludeReplayed   bool
	IncludeSuperseded bool // also sends records of a sink that have a newer record of the same key
	// DryRun processes dead letters without sending or storing anything. Plugins are opened, which may read the
	// service's metadata; schemas are not registered.
	DryRun bool
	Value  *string // if not nil, is sent in place of the value of the only selected dead letter

	isDiscard bool                  // the letters are settled without being sent
	running   *runningReplay        // nil until it is registered
	notFound  map[Position]bool     // positions that a user has named and whose originals were not selected so far
	isLocated bool                  // by [Queues.locate]; else the whole topic is read
	letters   []Position            // the located letters
	offsets   kafka.Range           // of the topic when it was read; From is not set
	isOpen    func(originalID) bool // reports whether an original is open, also one that was not located; may be nil
}

// Result is the result of a replay.
type Result struct {
	Sent       int            // number of dead letters that were sent
	Delivered  int            // number of them that the service, or Kafka, has accepted
	Rejected   int            // number of them that became dead letters again, in whole or in part
	Kept       map[string]int // number of other selected dead letters by reason
	Rejections []Rejection    // the reasons of the first 100 rejected letters
	// Letter is the position of the new dead letter if the only selected one was rejected. "" means unknown.
	Letter    string
	Discarded int // number of original records or rows that were discarded
}

// SettledUnsent is the reason in [Result.Kept] of dead letters that are settled although nothing was sent.
const SettledUnsent = "that are settled without being sent, because a transform, the plugin or " +
	"errors.uncertain.skip leaves them out"

// Other reasons in [Result.Kept] that do not depend on the dead letter.
const (
	keptUnknown    = "that are not in the topic, belong to another connector, or were settled before"
	keptOtherValue = "of which an earlier retry may have written another value: retry them with that value, or " +
		"discard them"
	keptSuperseded = "of records that have a later one of the same key, which would be overwritten: " +
		"--older sends them anyway"
	keptWritten = "that an earlier attempt has written, as a check shows: the other value was not sent"
)

// ErrNotJSON means that a value that is no JSON object, array or null would replace an object or array.
var ErrNotJSON = errors.New("value: expected a JSON object, array or null, because an object or array is stored")

// checkValue returns an error that wraps [ErrNotJSON] if the stored value is a JSON object or array and the new one is
// neither of them nor null. Other stored values may be replaced by any text: a number may come from a string converter.
func checkValue(stored []byte, value string) error {
	if !isDocument(stored) {
		return nil
	}
	err := json.Unmarshal([]byte(value), new(json.RawMessage))
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	switch {
	case err == nil && !isDocument([]byte(value)) && strings.TrimSpace(value) != "null":
		return fmt.Errorf("%w, found another value", ErrNotJSON)
	case !ok: // err is nil, or not about the syntax
		return err
	}
	prefix := value[:max(syntax.Offset-1, 0)]
	line := prefix[strings.LastIndexByte(prefix, '\n')+1:]
	return fmt.Errorf("%w: line %d, column %d: %w", ErrNotJSON, strings.Count(prefix, "\n")+1,
		utf8.RuneCountInString(line)+1, secret.JSONError(err))
}

// valueDigest identifies the value of the request. "" means that the dead letters have their own values.
func (r *Request) valueDigest() string {
	if r.Value == nil {
		return ""
	}
	sum := sha256.Sum256([]byte(*r.Value))
	return hex.EncodeToString(sum[:16]) // half of the sum is enough to identify a value
}

// isDocument reports whether a value is a JSON object or array.
func isDocument(value []byte) bool {
	start := bytes.TrimLeft(value, " \t\r\n")
	return (bytes.HasPrefix(start, []byte("{")) || bytes.HasPrefix(start, []byte("["))) && json.Valid(value)
}

// Replay sends dead letters through their connectors, which need not run: rows of a source to their topics, records of
// a sink to the service. Dead letters that are rejected again return to the topic. It does not read letters that arrive
// after it began. A discard settles the letters without sending them.
func (q *Queues) Replay(ctx context.Context, r Request) (Result, error) {
	result := Result{Kept: map[string]int{}}
	if r.running == nil {
		running, err := q.replays.begin(r.Filter.Connector, replayBytes)
		if err != nil {
			return result, err
		}
		defer running.end()
		r.running = running
		r.notFound = maps.Clone(r.Filter.Positions)
	}
	reader, err := kafka.NewReader(q.o.Kafka)
	if err != nil {
		return result, err
	}
	defer reader.Close()
	indexes := map[string]*replayIndex{} // by connector
	add := func(record *kgo.Record) error {
		l := Parse(record, q.o.Worker.Redact)
		if r.Filter.Connector != "" && r.Filter.Connector != l.Connector {
			return nil
		}
		if indexes[l.Connector] == nil {
			indexes[l.Connector] = newReplayIndex(r.running)
		}
		if err := indexes[l.Connector].add(&l, &r.Filter); err != nil {
			return fmt.Errorf("connector %s: %w", l.Connector, err)
		}
		return nil
	}
	if r.isLocated {
		err = readLetters(ctx, reader, r.Topic, r.letters, add)
	} else if r.offsets.To, err = reader.Read(ctx, r.Topic, kafka.ReadOptions{}, add); err == nil {
		r.offsets.TopicID, err = reader.TopicID(ctx, r.Topic)
	}
	if err != nil {
		return result, err
	}
	for _, connector := range slices.Sorted(maps.Keys(indexes)) {
		c := &connectorReplay{queues: q, name: connector, reader: reader, request: r, result: &result,
			index: indexes[connector]}
		if err := c.run(ctx); err != nil {
			return result, fmt.Errorf("connector %s: %w", connector, err)
		}
	}
	if len(r.notFound) > 0 {
		missing := slices.SortedFunc(maps.Keys(r.notFound), comparePositions)
		result.Kept[keptUnknown+": "+strings.Trim(fmt.Sprint(missing), "[]")] = len(missing)
	}
	return result, nil
}
