package connect

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/secret"
)

// ReplayRequest selects the dead letters to replay.
type ReplayRequest struct {
	Topic  string
	Filter DeadLetterFilter
	// IncludeReplayed replays letters again that were replayed before: those that Filter selects.
	IncludeReplayed   bool
	IncludeSuperseded bool // also sends records of a sink that have a newer record of the same key
	// DryRun processes dead letters without sending or storing anything. Plugins are opened, which may read the
	// service's metadata; schemas are not registered.
	DryRun bool
	Value  *string // if not nil, is sent in place of the value of the only selected dead letter

	isDiscard bool                        // the letters are settled without being sent
	running   *runningReplay              // set by Replay if it is nil
	notFound  map[DeadLetterPosition]bool // positions of the filter at which no open letter was found so far
	topicID   string                      // [kafka.Range.TopicID]
	located   *locatedLetters             // the letters to read; nil means the whole topic
}

// ReplayResult is the result of a replay.
type ReplayResult struct {
	Sent       int            // number of dead letters that were sent
	Delivered  int            // number of them that the service, or Kafka, has accepted
	Rejected   int            // number of them that became dead letters again, in whole or in part
	Kept       map[string]int // number of other selected dead letters by reason
	Rejections []Rejection    // the reasons of the first 100 rejected letters
	// Letter is the position of the new dead letter if the only selected one was rejected. "" means unknown.
	Letter    string
	Discarded int // number of original records or rows that were discarded
}

// SettledUnsent is the reason in [ReplayResult.Kept] of dead letters that are settled although nothing was sent.
const SettledUnsent = "that are settled without being sent, because a transform, the plugin or " +
	"errors.uncertain.skip leaves them out"

// Other reasons in [ReplayResult.Kept] that do not depend on the dead letter.
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
func (r *ReplayRequest) checkValue(stored []byte) error {
	if r.Value == nil || !isDocument(stored) {
		return nil
	}
	err := json.Unmarshal([]byte(*r.Value), new(json.RawMessage))
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	switch {
	case err == nil && !isDocument([]byte(*r.Value)) && strings.TrimSpace(*r.Value) != "null":
		return fmt.Errorf("%w, found another value", ErrNotJSON)
	case !ok:
		return err
	}
	prefix := (*r.Value)[:max(syntax.Offset-1, 0)]
	line := prefix[strings.LastIndexByte(prefix, '\n')+1:]
	return fmt.Errorf("%w: line %d, column %d: %w", ErrNotJSON, strings.Count(prefix, "\n")+1,
		utf8.RuneCountInString(line)+1, secret.JSONError(err))
}

// valueDigest identifies the value of the request. "" means that the dead letters have their own values.
func (r *ReplayRequest) valueDigest() string {
	if r.Value == nil {
		return ""
	}
	sum := sha256.Sum256([]byte(*r.Value))
	return hex.EncodeToString(sum[:16])
}

// isDocument reports whether a value is a JSON object or array.
func isDocument(value []byte) bool {
	start := bytes.TrimLeft(value, " \t\r\n")
	return (bytes.HasPrefix(start, []byte("{")) || bytes.HasPrefix(start, []byte("["))) && json.Valid(value)
}

// Replay sends dead letters through their connectors, which need not run: rows of a source to their topics, records of
// a sink to the service. Dead letters that are rejected again return to the topic. It does not read letters that arrive
// after it began. A discard settles the letters without sending them.
func (h *Herder) Replay(ctx context.Context, r ReplayRequest) (ReplayResult, error) {
	result := ReplayResult{Kept: map[string]int{}}
	r.running = cmp.Or(r.running, new(runningReplay))
	reader, err := kafka.NewReader(h.shared.Kafka)
	if err != nil {
		return result, err
	}
	defer reader.Close()
	indexes := map[string]*replayIndex{} // by connector
	defer func() {
		for _, index := range indexes {
			index.close()
		}
	}()
	selected := map[string]bool{} // names of the connectors with selected letters
	if r.positionsSuffice() {
		index := newReplayIndex(h.shared.replays)
		if err := index.setLocated(r.located.letters); err != nil {
			return result, fmt.Errorf("connector %s: %w", r.Filter.Connector, err)
		}
		indexes[r.Filter.Connector] = index
		selected[r.Filter.Connector] = true
	}
	r.notFound = maps.Clone(r.Filter.Positions)
	if r.located != nil {
		r.Filter = r.located.filter
	}
	var matching map[DeadLetterPosition]bool // of a filter that also selects settled letters
	if r.IncludeReplayed && r.Filter.Positions == nil && !r.Filter.IsZero() {
		matching = map[DeadLetterPosition]bool{}
	}
	ends, err := r.read(ctx, reader, func(record *kgo.Record) error {
		l := h.shared.parseDeadLetter(record)
		_, findErr := h.find(l.Connector)
		if findErr == nil && (r.Filter.Connector == "" || r.Filter.Connector == l.Connector) {
			index := indexes[l.Connector]
			if index == nil {
				index = newReplayIndex(h.shared.replays)
				indexes[l.Connector] = index
			}
			if err := index.add(&l); err != nil {
				return fmt.Errorf("connector %s: %w", l.Connector, err)
			}
		}
		if !r.Filter.Matches(&l) {
			return nil
		}
		if err := r.checkValue(record.Value); err != nil {
			return err
		}
		if findErr == nil {
			selected[l.Connector] = true
			if matching != nil {
				matching[l.position()] = true
			}
			return nil
		}
		reason := "of connector " + strconv.Quote(l.Connector) + ", which is not configured"
		if l.Connector == "" {
			reason = "without the headers of errors.deadletterqueue.context.headers.enable"
		}
		result.Kept[reason]++
		delete(r.notFound, l.position())
		return nil
	})
	if err != nil {
		return result, err
	}
	if matching != nil { // the states of other letters remain
		r.Filter.Positions = matching
	}
	for _, name := range slices.Sorted(maps.Keys(selected)) {
		c := &connectorReplay{reader: reader, request: r, result: &result, index: indexes[name], ends: ends}
		if err := h.openAndReplay(ctx, name, c); err != nil {
			return result, fmt.Errorf("connector %s: %w", name, err)
		}
	}
	if len(r.notFound) > 0 {
		missing := slices.SortedFunc(maps.Keys(r.notFound), func(a, b DeadLetterPosition) int {
			return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
		})
		result.Kept[keptUnknown+": "+strings.Trim(fmt.Sprint(missing), "[]")] = len(missing)
	}
	return result, nil
}

// positionsSuffice reports whether the request needs no letter itself: it discards letters that are located.
func (r *ReplayRequest) positionsSuffice() bool {
	return r.isDiscard && r.located != nil && r.Filter.Error == ""
}

// read calls visit with the dead letters from which the request selects. It returns the end offsets of the topic, and
// sets topicID.
func (r *ReplayRequest) read(ctx context.Context, reader *kafka.Reader,
	visit func(*kgo.Record) error) (ends kafka.Positions, err error) {
	if r.located != nil {
		r.topicID = r.located.topicID
		if r.positionsSuffice() {
			return r.located.ends, nil
		}
		return r.located.ends, readLetters(ctx, reader, r.Topic, r.located.letters, visit)
	}
	if ends, err = reader.Read(ctx, r.Topic, kafka.ReadOptions{}, visit); err == nil {
		r.topicID, err = reader.TopicID(ctx, r.Topic)
	}
	return ends, err
}

// openAndReplay opens what a connector needs to replay or discard its selected letters, but does not run it.
func (h *Herder) openAndReplay(ctx context.Context, name string, c *connectorReplay) error {
	ctl, err := h.find(name)
	if err != nil { // deleted while the topic was read
		return ErrUnknownConnector
	}
	run, err := ctl.openDetachedRun(ctx)
	if err != nil {
		return err
	}
	defer run.closeOffsets()
	c.run = run
	if c.request.isDiscard {
		return c.withLock(ctx, c.discard)
	}
	if run.configErr != nil {
		return run.configErr
	}
	run.clients.registries.ctx = ctx
	run.clients.dryRun = c.request.DryRun
	if _, err := run.reloadSecrets(); err != nil {
		return err
	}
	if err := run.openService(ctx); err != nil {
		return err
	}
	defer run.clients.client.Close()
	if c.request.DryRun {
		if err := run.clients.offsets.Refresh(ctx); err != nil {
			return err
		}
		return c.replay(ctx)
	}
	if err := run.openTopicAdmin(); err != nil {
		return err
	}
	if run.clients.admin != nil {
		defer run.clients.admin.Close()
	}
	return c.withLock(ctx, c.replay)
}

// withLock calls do while no other process changes the replay state of the connector, which is up to date.
func (c *connectorReplay) withLock(ctx context.Context, do func(context.Context) error) error {
	run := c.run
	lock, err := kafka.AcquireGroupLock(ctx, run.options.Kafka, config.ConsumerGroup(replayOwnerPrefix+run.config.Name),
		run.options.Worker.Text("offset.storage.topic"))
	if errors.Is(err, kafka.ErrLocked) {
		return fmt.Errorf("%w by another process: %w", ErrReplayInProgress, err)
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := run.clients.offsets.RefreshCommitted(lock.Context()); err != nil {
		return err
	}
	c.lock = lock
	return do(lock.Context())
}
