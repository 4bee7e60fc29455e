package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/host/config"
	"github.com/culvert-project/culvert/host/internal/run/offset"
	"github.com/culvert-project/culvert/host/internal/run/sink"
	"github.com/culvert-project/culvert/host/internal/run/source"
	core "github.com/culvert-project/culvert/host/internal/run/task"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/plugin"
	"github.com/culvert-project/culvert/sdk/go/role"
	"github.com/culvert-project/culvert/sdk/go/setting"
	"github.com/culvert-project/culvert/wit"
	"github.com/culvert-project/culvert/wit/java/pattern"
)

// ReplayRequest is what of a topic of dead letters is sent once more.
type ReplayRequest struct {
	Topic  string
	Filter DeadLetterFilter
	// Again forgets what was replayed before, of the letters that the filter names by where they stand if it names any.
	IncludeReplayed bool
	// IncludeSuperseded sends a sink's records also where their topic has a later one of the same key.
	IncludeSuperseded bool
	// DryRun takes letters through their connectors, up to what would be sent, and sends and stores nothing. Plugins
	// are opened for it, by which services may be asked for their metadata, as at a start; schemas are not registered.
	DryRun bool
	// left are those of Filter.At of which nothing has come yet.
	left map[DeadLetterPosition]bool
}

// ReplayResult is what came of it.
type ReplayResult struct {
	// Letters were replayed; Refused are those of them that are dead letters once more.
	Replayed, Rejected int
	// Skipped could not be replayed, by the reason.
	Skipped map[string]int
	// Rejections say of a dry run why letters would be refused, of the first 100.
	Rejections []Rejection
}

// A replay takes so many letters, or bytes, at a time; what came of them is stored before the next.
const (
	lettersAtOnce     = 500
	letterBytesAtOnce = 4 << 20
)

// maxGaps is how many runs of letters may have been replayed although not all before them are: they are stored in one
// record.
const maxGaps = 10_000

// Replay sends dead letters through their connectors as these are now, as far as that was not done before: rows
// of a source to their topics, records of a sink into the service. What is refused again goes back to the topic. It
// does not wait for letters that come meanwhile. Connectors need not run. If they run, their tasks continue; a sink's
// tasks in this process hold the keys of letters that are being sent.
func (h *Herder) Replay(ctx context.Context, r ReplayRequest) (ReplayResult, error) {
	done := ReplayResult{Skipped: map[string]int{}}
	reader, err := kafka.NewReader(h.o.Kafka)
	if err != nil {
		return done, err
	}
	defer reader.Close()
	names := map[string]bool{}
	r.left = maps.Clone(r.Filter.Positions)
	ends, err := reader.Read(ctx, r.Topic, kafka.ReadOptions{}, func(record *kgo.Record) error {
		l := ParseDeadLetter(record)
		if !r.Filter.Matches(&l) {
			return nil
		}
		if _, err := h.find(l.Connector); err == nil {
			names[l.Connector] = true
			return nil
		}
		why := "of connector " + strconv.Quote(l.Connector) + ", which is not among those that are given"
		if l.Connector == "" {
			why = "without the headers of errors.deadletterqueue.context.headers.enable"
		}
		done.Skipped[why]++
		delete(r.left, l.place())
		return nil
	})
	if err != nil {
		return done, err
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if err := h.replayOf(ctx, name, reader, ends, r, &done); err != nil {
			return done, fmt.Errorf("connector %s: %w", name, err)
		}
	}
	if n := len(r.left); n > 0 {
		left := slices.SortedFunc(maps.Keys(r.left), func(a, b DeadLetterPosition) int {
			return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
		})
		done.Skipped["that are not in the topic, are another connector's, or were replayed, or their record was, "+
			"before: "+strings.Trim(fmt.Sprint(left), "[]")] = n
	}
	return done, nil
}

// replayOf is [Herder.ReplayRequest] for one connector.
func (h *Herder) replayOf(ctx context.Context, name string, reader *kafka.Reader, ends kafka.Positions, r ReplayRequest,
	done *ReplayResult) error {
	k, err := h.find(name)
	if err != nil { // deleted while the topic was read
		return ErrUnknownConnector
	}
	c, err := k.apart(ctx)
	if err != nil {
		return err
	}
	defer c.closeOffsets()
	if c.refused != nil {
		return c.refused
	}
	c.run.registries.ctx, c.run.dry = ctx, r.DryRun
	if _, err := c.reread(); err != nil {
		return err
	}
	if err := c.open(ctx); err != nil {
		return err
	}
	defer c.run.client.Close()
	if r.DryRun {
		if err := c.run.offsets.Refresh(ctx); err != nil {
			return err
		}
		return c.replay(ctx, nil, reader, ends, r, done)
	}
	if err := c.openAdmin(); err != nil {
		return err
	}
	if c.run.admin != nil {
		defer c.run.admin.Close()
	}
	turn, err := kafka.TakeTurn(ctx, h.o.Kafka, config.ConsumerGroup(replayOwner+name),
		h.o.Worker.Text("offset.storage.topic"))
	if errors.Is(err, kafka.ErrTurnTaken) {
		return fmt.Errorf("%w by another process: %w", ErrReplayInProgress, err)
	}
	if err != nil {
		return err
	}
	defer turn.Close()
	ctx = turn.Context()
	if err := c.run.offsets.RefreshCommitted(ctx); err != nil {
		return err
	}
	return c.replay(ctx, turn, reader, ends, r, done)
}

// replay sends the letters of the connector during its turn.
func (c *connector) replay(ctx context.Context, turn sink.Lock, reader *kafka.Reader, ends kafka.Positions,
	r ReplayRequest,
	done *ReplayResult) error {
	var all []*replay
	for _, partition := range slices.Sorted(maps.Keys(ends)) {
		p := &replay{connector: c, turn: turn, reader: reader, of: r, partition: partition, end: ends[partition],
			done: done}
		if err := p.load(ctx); err != nil {
			return err
		}
		all = append(all, p)
	}
	if c.isSink() {
		records := newLetterRecords(c.run.kafka)
		defer records.close()
		if err := recordsOf(ctx, all, records); err != nil {
			return err
		}
	}
	for _, p := range all {
		if err := p.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// replay sends the dead letters of one connector in one partition.
type replay struct {
	connector *connector
	turn      sink.Lock
	reader    *kafka.Reader
	of        ReplayRequest
	partition int32
	end       int64
	done      *ReplayResult

	// next is where the next letters are looked for.
	next int64
	at   replayPlace
	// kept is what of it is stored.
	kept string
	// records are those of a sink that the letters of all partitions name; nil for a source.
	records *letterRecords
	// regex is what the connector's topics match, if it says so.
	regex *pattern.Pattern
}

// owner is whose offsets say what was replayed of the connector's letters.
func (p *replay) owner() string { return replayOwner + p.connector.config.Name }

// stored is the source partition that its offset is stored under.
func (p *replay) stored() []wit.OffsetEntry { return replayPartition(p.of.Topic, p.partition) }

// load finds out what was replayed before.
func (p *replay) load(ctx context.Context) error {
	c := p.connector
	if regex := c.config.Text("topics.regex"); regex != "" {
		compiled, err := pattern.Compile(regex)
		if err != nil {
			return fmt.Errorf("topics.regex: %w", err)
		}
		p.regex = &compiled
	}
	stored, _, err := c.run.offsets.Get(ctx, p.owner(), p.stored())
	if err != nil {
		return err
	}
	p.kept = string(offset.AppendJSON(nil, stored))
	if !p.of.IncludeReplayed || p.of.Filter.Positions != nil {
		if p.at, err = readReplayPlace(stored); err != nil {
			return fmt.Errorf("what is stored about earlier replays of topic %s, partition %d: %w", p.of.Topic,
				p.partition, err)
		}
	}
	for at := range p.of.Filter.Positions {
		if p.of.IncludeReplayed && at.Partition == p.partition {
			p.at.forget(at.Offset)
		}
	}
	if p.at.end() > p.end {
		return fmt.Errorf("topic %s, partition %d: expected an end behind the letters that were replayed before (%d), "+
			"found %d: the topic was made anew; --again forgets what was "+
			"replayed", p.of.Topic, p.partition, p.at.end(), p.end)
	}
	p.next, _ = p.at.ahead()
	return nil
}

// recordsOf reads all letters of a sink, so that each record is sent once however many of them it has.
func recordsOf(ctx context.Context, all []*replay, records *letterRecords) error {
	each := func(take func(*replay, *DeadLetter) error) error {
		for _, p := range all {
			p.records = records
			_, err := p.reader.Read(ctx, p.of.Topic, kafka.ReadOptions{To: kafka.Positions{p.partition: p.end}},
				func(r *kgo.Record) error {
					if l := ParseDeadLetter(r); l.Connector == p.connector.config.Name {
						return take(p, &l)
					}
					return nil
				})
			if err != nil {
				return err
			}
		}
		return nil
	}
	again := map[recordIdentity]bool{} // whatever others of their letters were replayed
	err := each(func(p *replay, l *DeadLetter) error {
		if p.of.IncludeReplayed && p.of.Filter.Positions[l.place()] {
			again[l.identity()] = true
		}
		return records.add(l, p.at.settled(l.Record.Offset), p.at.sent[l.Record.Offset])
	})
	for id := range again {
		one := records.of[id]
		one.settled = -1
		records.of[id] = one
	}
	if err != nil || all[0].of.IncludeSuperseded {
		return err
	}
	err = each(func(p *replay, l *DeadLetter) error {
		if p.of.Filter.Matches(l) && !records.done(l) && p.unfit(l) == "" {
			records.ask(l)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return records.compare(ctx)
}

func (p *replay) run(ctx context.Context) error {
	c := p.connector
	t := &task{connector: c}
	binding, err := c.bind()
	if err != nil {
		return err
	}
	defer binding.Close()
	transforms, err := newChains(c)
	if err != nil {
		return err
	}
	defer transforms.close()
	if c.isSink() {
		return p.sink(ctx, t, binding, transforms)
	}
	return p.source(ctx, t, binding, transforms)
}

// letters are those that come next; none: that was all. What is somebody else's is gone past.
func (p *replay) letters(ctx context.Context) (letters []*DeadLetter, err error) {
	bytes, expected, again := 0, p.next, int64(-1)
	taken := map[string]recordIdentity{} // by the places that records had
	at, err := p.reader.Read(ctx, p.of.Topic, kafka.ReadOptions{From: kafka.Positions{p.partition: p.next},
		To: kafka.Positions{p.partition: p.end}}, func(r *kgo.Record) error {
		l := ParseDeadLetter(r)
		p.at.settle(expected, r.Offset-1) // marks of transactions, and what was compacted
		expected = r.Offset + 1
		switch {
		case l.Connector != p.connector.config.Name:
			p.at.settle(r.Offset, r.Offset)
			return nil
		case p.at.settled(r.Offset):
			return nil
		}
		var id recordIdentity
		place, twin := fmt.Sprint(l.Topic, " ", l.Partition, " ", l.Offset), false // twin: of a record that has another
		if p.records != nil {
			id = l.identity()
			other, here := taken[place]
			if here && other != id { // of a topic that was made again: no task has both at a time
				again, expected = r.Offset, r.Offset
				return kafka.ErrStop
			}
			if twin = here; !here && p.records.done(&l) {
				p.at.settle(r.Offset, r.Offset)
				return nil
			}
		}
		if !p.of.Filter.Matches(&l) {
			return nil
		}
		delete(p.of.left, l.place())
		if why := p.unfit(&l); why != "" && !twin {
			p.done.Skipped[why]++
			return nil
		}
		if p.records != nil {
			taken[place] = id
			p.records.take(id, true)
		}
		letters = append(letters, &l)
		if bytes += len(r.Key) + len(r.Value); len(letters) >= lettersAtOnce || bytes >= letterBytesAtOnce {
			return kafka.ErrStop
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if p.next = at[p.partition]; again >= 0 {
		p.next = again
	}
	p.at.settle(expected, p.next-1)
	return letters, p.at.bounded()
}

// unfit tells why a letter is none that can be replayed, "" where it can. Whoever may write to the topic of dead
// letters can put anything into its headers: rows go to no topic but the connector's.
func (p *replay) unfit(l *DeadLetter) string {
	c := p.connector
	switch {
	case l.Stage == "":
		return "that another program has written, whose form nobody knows"
	case l.HeaderError != nil:
		return "of which a header cannot be read"
	}
	wanted := role.SourceTopic
	topics := config.List(c.config.Text("topics"))
	if c.isSink() {
		wanted = role.SinkTopic
		if l.Partition < 0 || l.Offset < 0 {
			return "that do not say which record they were"
		}
		switch older := p.records.older(l); {
		case p.records.odd[l.identity()]:
			return "of records whose letters name parts of different numbers of rows"
		case older && l.Record.Key == nil:
			return "of records without a key, in whose topic later ones may be of the same entity, which they would " +
				"be written over: --older sends them all the same"
		case older:
			return "of records that are older than a later one of the same key, which they would be written over: " +
				"--older sends them all the same"
		}
		if p.regex != nil {
			if takes, err := config.MatchesTopic(*p.regex, l.Topic); err != nil || !takes {
				return fmt.Sprintf("of topic %q, which topics.regex of connector %s does not match", l.Topic,
					c.config.Name)
			}
			return ""
		}
	}
	d := c.class.declared
	for _, e := range c.config.Entries {
		if spec, ok := d.Find(e.Key); ok && spec.Role() == wanted {
			topics = append(topics, setting.Trim(e.Value.Reveal()))
		}
	}
	if len(topics) > 0 && !slices.Contains(topics, l.Topic) {
		return fmt.Sprintf("of topic %q, which is none of connector %s", l.Topic, c.config.Name)
	}
	return ""
}

// source sends rows of a source to their topics.
func (p *replay) source(ctx context.Context, t *task, binding *plugin.Binding, transforms *chains) error {
	c := t.connector
	layout, err := c.layout(ctx, binding, 1)
	if err != nil {
		return err
	}
	if len(layout.Tasks) > 0 {
		t.settings = layout.Tasks[0]
	}
	t.tally = &core.Metrics{} // of the replay alone
	delivers := t.delivers
	if p.of.DryRun {
		delivers = t.atLeastOnce
	}
	deliver := delivers(p.owner(), func(int) []string {
		return []string{c.o.Worker.Text("group.id") + "-" + c.config.Name + "-dlq"}
	})
	defer deliver.close(context.WithoutCancel(ctx))
	options := t.sourceOptions(deliver, binding, transforms)
	options.Tolerance.TolerateAll = true
	options.DeadLetters = t.sourceLettersTo(p.of.Topic, true, binding)
	if p.of.DryRun {
		refused := &refusals{of: p}
		options.EnsureTopic, options.Logger = nil, slog.New(slog.DiscardHandler) // nothing is skipped
		options.NewOutput = func(feed string) (source.Output, error) {           // which counts no topic as used
			output, err := deliver.output(feed)
			return unsent{output}, err
		}
		options.DeadLetters.Headers = func(l source.FailedRow) []kgo.RecordHeader {
			refused.add(l.ReplayedFrom, l.Err)
			return nil
		}
	}
	work := source.NewTask(options)
	defer func() { p.done.Rejected += int(work.Progress().Skipped) }()
	last := 0
	return work.Replay(ctx, source.Replay{Partition: p.stored(),
		Next: func(ctx context.Context, unreadable source.UnreadableReason) (refused []core.DeadLetter,
			after []wit.OffsetEntry,
			err error) {
			p.done.Replayed += last // they are stored
			if err := p.alive(ctx); err != nil {
				return nil, nil, err
			}
			for last = 0; len(refused) == 0; {
				letters, err := p.letters(ctx)
				if err != nil || len(letters) == 0 {
					return nil, nil, err
				}
				if refused, err = p.readable(ctx, letters, unreadable); err != nil {
					return nil, nil, err
				}
			}
			last = len(refused)
			return refused, p.at.fields(), nil
		}})
}

// readable are those of a source's letters that can be replayed. The others are left, as those that are unfit: a feed
// that is gone may come back.
func (p *replay) readable(ctx context.Context, letters []*DeadLetter, unreadable source.UnreadableReason) (
	refused []core.DeadLetter, err error) {
	for _, l := range letters {
		r := l.replayed(true)
		if r.IsDocument {
			why, err := unreadable(ctx, &r)
			if err != nil {
				return nil, err
			}
			if why != "" {
				p.done.Skipped[why]++
				continue
			}
		}
		refused = append(refused, r)
		p.at.settle(l.Record.Offset, l.Record.Offset)
	}
	return refused, nil
}

// sink writes the records of a sink's letters, each once.
func (p *replay) sink(ctx context.Context, t *task, binding *plugin.Binding, transforms *chains) error {
	t.settings = t.connector.shownTo(binding.Current().Module())
	options := t.sinkOptions(binding, transforms)
	refused := &refusals{of: p}
	options.Tolerance.TolerateAll, options.DeadLetters = true, refused
	if p.of.DryRun {
		options.Logger = slog.New(slog.DiscardHandler)
	} else {
		letters, err := t.lettersOf(p.of.Topic, true, binding)
		if err != nil {
			return err
		}
		defer letters.close()
		refused.letters = letters
	}
	for {
		chosen, err := p.letters(ctx)
		if err != nil {
			return err
		}
		if len(chosen) == 0 {
			return p.store(ctx, p.at) // with those that others stand for
		}
		options.InDoubt, options.Revoked = &sink.InDoubtRecords{}, &sink.RevokedPartitions{}
		options.InDoubt.MergeKnown(p.at.known)
		if err := p.deliver(ctx, options, chosen); err != nil {
			return err
		}
	}
}

// late reports whether a later record makes a letter unfit that was chosen before, and counts the letter as left then.
func (p *replay) late(l *DeadLetter) bool {
	late := p.records.older(l)
	if late {
		p.done.Skipped[p.unfit(l)]++
		p.records.take(l.identity(), false)
	}
	return late
}

// deliver writes the records of letters, except letters for whose key a later record has arrived.
func (p *replay) deliver(ctx context.Context, options sink.Options, chosen []*DeadLetter) error {
	if !p.of.DryRun {
		defer p.connector.controller.heldKeys.hold(chosen)()
		if err := p.records.compare(ctx); err != nil {
			return err
		}
		if chosen = slices.DeleteFunc(chosen, p.late); len(chosen) == 0 {
			return nil
		}
	}
	slices.SortFunc(chosen, byOrigin)
	replay := sink.Replay{Lock: p.turn, DryRun: p.of.DryRun}
	of := make([]int, len(chosen)) // the record of each letter: one that has several is written once
	for i, l := range chosen {
		if id := l.identity(); i == 0 || id != chosen[i-1].identity() {
			one, known := l.replayed(false), p.records.of[id]
			one.Rows, one.Replays, one.InDoubt = p.records.parts[id], int(known.times)+1, known.doubt
			replay.Letters = append(replay.Letters, one)
		}
		of[i] = len(replay.Letters) - 1
	}
	before := p.at.clone()
	replay.Store = func(ctx context.Context, settled, sent []bool) error {
		at := before.clone()
		at.known = options.InDoubt.Known()
		for i, l := range chosen {
			at.doubt(l.Record.Offset, sent[of[i]])
			if settled[of[i]] {
				at.settle(l.Record.Offset, l.Record.Offset)
			}
		}
		return p.store(ctx, at)
	}
	err := sink.Deliver(ctx, options, replay)
	for i, l := range chosen {
		p.records.sent(l)
		if p.at.settled(l.Record.Offset) && (i == 0 || of[i] != of[i-1]) {
			p.done.Replayed++
		}
	}
	return err
}

// alive returns nil where nobody else replays the letters, or nothing is sent.
func (p *replay) alive(ctx context.Context) error {
	if p.of.DryRun {
		return nil
	}
	return p.turn.Alive(ctx)
}

// store keeps what was replayed. Without the turn it fails: it would write over what the next process has stored.
func (p *replay) store(ctx context.Context, at replayPlace) error {
	if err := p.alive(ctx); err != nil {
		return err
	}
	fields := at.fields()
	text := string(offset.AppendJSON(nil, fields))
	if text != p.kept && !p.of.DryRun {
		entry := offset.Entry{Partition: p.stored(), Offset: fields}
		if err := p.connector.run.offsets.Set(ctx, p.owner(), entry); err != nil {
			return err
		}
	}
	p.at, p.kept = at, text
	return nil
}
